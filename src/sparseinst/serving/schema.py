"""What OpenAPI tells of requests and answers, with examples."""

from typing import Any

from pydantic import BaseModel, Field

from sparseinst.serving.requests import FIELD, PredictBody

_INSTANCE = {
    "id": 1,
    "label": 0,
    "class": "nucleus",
    "score": 0.93,
    "bbox": [52, 17, 3, 2],
    "area": 6,
    "slot": 17,
    "segmentation": {"size": [256, 320], "counts": "aP=2n7000_WR2"},
}
_PREDICTION: dict[str, Any] = {
    "model": "nuclei",
    "images": [{"width": 320, "height": 256, "instances": [_INSTANCE]}],
    "milliseconds": {"queue": 1.2, "prepare": 3.4, "network": 41.0, "total": 47.9},
}


class Rle(BaseModel):
    """A mask as compressed COCO run lengths over the whole image."""

    size: tuple[int, int] = Field(description="height and width of the image")
    counts: str


class FoundInstance(BaseModel):
    """One object."""

    id: int = Field(description="1, 2, ... in the order of the answer")
    label: int = Field(description="number of its class")
    class_: str = Field(alias="class", description="name of its class")
    score: float = Field(ge=0, le=1)
    bbox: tuple[int, int, int, int] = Field(description="x, y, width and height in pixels (COCO)")
    area: int = Field(description="pixels of its mask")
    slot: int = Field(description="which of the network's slots found it")
    segmentation: Rle | list[list[int]] | str = Field(
        description="its mask: run lengths; outer contours [x0, y0, x1, y1, ...]; or a PNG of its bbox as a data URL"
    )


class ActivationPicture(BaseModel):
    """The activation maps of all instances in one grey picture: rows of maps are instances, columns groups."""

    groups: int
    height: int = Field(description="rows of one map, in cells")
    width: int = Field(description="columns of one map, in cells")
    places: list[tuple[float, float, float, float]] = Field(
        description="x0, y0, x1, y1: what each instance's maps cover, in pixels of the image"
    )
    peaks: list[list[float]] = Field(
        description="the largest value of each map, by instance and group; 255 stands for it"
    )
    png: str = Field(description="8-bit grey PNG as a data URL")


class ImageAnswer(BaseModel):
    """What was found in one image."""

    width: int
    height: int
    instances: list[FoundInstance]
    activation: ActivationPicture | None = None
    measurements: list[dict[str, float | int | str | None]] | None = Field(
        None,
        description="a row an object, in their order: id, class, score, centroid_x, centroid_y, area, perimeter, "
        "major_axis, minor_axis, orientation, eccentricity, solidity; mean, std, min, max and sum of each channel, and "
        "the same in a ring around (ring_...); in pixels, and in micrometres (..._um) where their size is known",
    )
    preview: str | None = Field(None, description="the image as 8-bit RGB PNG, a data URL")


class Milliseconds(BaseModel):
    """Where the time went; of several images, that of the slowest."""

    queue: float
    prepare: float
    network: float = Field(description="of the whole batch")
    total: float


class Prediction(BaseModel):
    """The answer to `POST /v1/predict`."""

    model_config = {"json_schema_extra": {"examples": [_PREDICTION]}}

    model: str
    images: list[ImageAnswer] = Field(description="in the order they were sent")
    milliseconds: Milliseconds


class Limits(BaseModel):
    """How much a request may bring."""

    body_mb: float
    pixels: int
    images: int


class Model(BaseModel):
    """The answer to `GET /v1/model`."""

    name: str
    classes: list[str]
    score: float = Field(description="lowest score that is kept if a request does not say")
    note: str | None = Field(description="what to know before trusting it")
    sample: str | None = Field(description="address of a picture to try it on")
    groups: int = Field(description="activation maps of an instance")
    version: str
    limits: Limits
    api_key: bool = Field(description="whether requests need the key")
    measures: bool = Field(description="whether it can measure objects")


class ErrorDetail(BaseModel):
    """Why a request was refused."""

    code: str = Field(description="one word for programs")
    message: str = Field(description="what was expected, what came, and what to do")


class ErrorAnswer(BaseModel):
    """The answer to every request that is refused."""

    error: ErrorDetail


def _error(description: str, code: str) -> dict[str, Any]:
    example = {"error": {"code": code, "message": "expected ..., got ...: ..."}}
    return {"model": ErrorAnswer, "description": description, "content": {"application/json": {"example": example}}}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("Too many images, or none; or neither activation maps nor measurements to be had.", "image_count"),
    401: _error("The API key is missing or wrong.", "unauthorised"),
    403: _error("A page of another site.", "wrong_origin"),
    408: _error("The body came too slowly.", "timeout"),
    413: _error("The body or an image is too large.", "image_too_large"),
    415: _error("Neither a form nor JSON.", "content_type"),
    422: _error("An image that cannot be decoded, or an option that does not fit.", "undecodable"),
    503: _error("Busy or not ready; the header Retry-After tells in seconds when to try again.", "busy"),
    504: _error("The answer took too long.", "timeout"),
}
"""Status -> what OpenAPI tells of it."""

PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "PNG, JPEG, WebP, BMP or TIFF files; the field may be repeated",
                        }
                    },
                }
            },
            "application/json": {
                "schema": PredictBody.model_json_schema(),
                "example": {"images": ["iVBORw0KGgo..."], "score": 0.5, "masks": "polygons"},
            },
        },
    }
}
"""The body of `POST /v1/predict`, which FastAPI cannot read off a function that takes either kind."""
