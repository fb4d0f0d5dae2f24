"""What clients of `POST /v1/predict` send: a form or JSON."""

import asyncio
import base64
import binascii
from typing import Annotated, NamedTuple

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from sparseinst.errors import brief
from sparseinst.inference.description import MaskKind
from sparseinst.serving.errors import ApiError, invalid
from sparseinst.serving.service import Options
from sparseinst.serving.settings import ServeSettings

FIELD = "image"
_FORM, _JSON = "multipart/form-data", "application/json"

Score = Annotated[
    float | None, Query(ge=0, le=1, description="Lowest score to keep, in 0..1; without it, that of /v1/model.")
]
Masks = Annotated[
    MaskKind,
    Query(description="COCO run lengths, outer contours in pixels, or a PNG of each object's box as a data URL."),
]
Activation = Annotated[
    bool, Query(description="Also tell which pixels spoke for each instance: its activation maps, as a grey PNG.")
]
Preview = Annotated[bool, Query(description="Also give the image as 8-bit RGB PNG, for what cannot show it itself.")]

Measure = Annotated[
    bool, Query(description="Also measure each object: shape, and the intensities of every channel in and around it.")
]
PixelUm = Annotated[
    float | None,
    Query(
        gt=0, le=1e6, description="Micrometres of a pixel's side for measurements; without it, what a TIFF file says."
    ),
]


class PredictBody(BaseModel):
    """A request as JSON; its options go before those of the address."""

    model_config = ConfigDict(extra="forbid", title="PredictJson")

    images: list[str] = Field(min_length=1, description="image files in base64")
    score: float | None = Field(None, ge=0, le=1, description="lowest score to keep")
    masks: MaskKind = Field("rle", description="how masks are told")
    activation: bool = Field(False, description="also give the activation maps")
    preview: bool = Field(False, description="also give the image as 8-bit RGB PNG")
    measure: bool = Field(False, description="also measure each object")
    pixel_um: float | None = Field(None, gt=0, le=1e6, description="micrometres of a pixel's side, for measurements")


class Asked(NamedTuple):
    """A request that has been read."""

    contents: list[bytes]
    options: Options


async def read_request(request: Request, options: Options, settings: ServeSettings) -> Asked:
    """The image files of a request, and what it wants to know.

    Raises:
        ApiError: 408 the body comes too slowly, 413 too large, 415 another content type, 400 too many images or none,
            422 the form or JSON is no good.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_FORM, _JSON):
        got = brief(kind, most=200) if kind else "no content type"
        message = f"expected {_FORM} or {_JSON}, got {got}: send the images in one of them"
        raise ApiError(415, "content_type", message)
    try:
        async with asyncio.timeout(settings.timeout_s):
            if kind == _JSON:
                return await _read_json(request, options, settings)
            return Asked(await _read_form(request, settings), options)
    except TimeoutError as error:
        message = f"expected the whole request within {settings.timeout_s:g} s, got a part: send less at once"
        raise ApiError(408, "timeout", message) from error


async def _read_form(request: Request, settings: ServeSettings) -> list[bytes]:
    try:
        async with request.form(max_files=settings.max_images + 1, max_fields=1) as form:
            files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
            other = [name for name, value in form.multi_items() if name != FIELD or not isinstance(value, UploadFile)]
            if other:
                got = brief(other[0], most=200)
                message = f"expected files in fields named {FIELD!r}, got {got}: give options in the address"
                raise ApiError(422, "invalid", message)
            _check_count(len(files), settings)
            return [await file.read() for _, file in files]
    except HTTPException as error:
        if "Too many files" in str(error.detail):
            raise _wrong_count(f"more than {settings.max_images}", settings) from error
        raise ApiError(422, "invalid", f"expected a {_FORM} body: {error.detail}: send it again") from error


async def _read_json(request: Request, options: Options, settings: ServeSettings) -> Asked:
    content = await request.body()

    def parsed() -> Asked:
        try:
            body = PredictBody.model_validate_json(content)
            _check_count(len(body.images), settings)
            contents = [base64.b64decode(image, validate=True) for image in body.images]
        except ValidationError as error:
            raise invalid(error.errors()) from error
        except (binascii.Error, ValueError) as error:
            message = f"expected images in base64 without a prefix: {error}: encode the files' bytes"
            raise ApiError(422, "invalid", message) from error
        given = body.model_dump(exclude_unset=True, exclude={"images"})
        return Asked(contents, options._replace(**given))

    return await asyncio.to_thread(parsed)


def _check_count(count: int, settings: ServeSettings) -> None:
    if not 1 <= count <= settings.max_images:
        raise _wrong_count(str(count), settings)


def _wrong_count(got: str, settings: ServeSettings) -> ApiError:
    return ApiError(
        400, "image_count", f"expected 1 to {settings.max_images} images, got {got}: send them in several requests"
    )
