"""Networks on the Hugging Face Hub: fetched by name into its usual cache."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sparseinst.errors import InputError, listed
from sparseinst.version import __version__

_LOGGER = logging.getLogger(__name__)

HUB = "hf:"
"""How the name of a model on the Hugging Face Hub begins."""
FILE = "model.safetensors"
"""Name of the checkpoint in a repository."""

_LISTED = 12
"""Files of a repository that an error names."""


class HubName(NamedTuple):
    """A network's name on the Hub.

    Attributes:
        repo: "owner/name".
        revision: branch, tag or commit; None is the main branch.
    """

    repo: str
    revision: str | None

    @classmethod
    def parse(cls, name: str) -> "HubName":
        """Takes "hf:owner/name" or "hf:owner/name@revision" apart.

        Raises:
            InputError: the name has another form.
        """
        repo, at, revision = name.removeprefix(HUB).partition("@")
        if not name.startswith(HUB) or (at and not revision):
            raise InputError(f"{name!r}: expected hf:owner/name or hf:owner/name@revision: correct the name")
        check_repo(repo)
        return cls(repo, revision or None)


def check_repo(repo: str) -> None:
    """Checks that this can be the name of a repository.

    Raises:
        InputError: it cannot.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    problem = "" if repo.count("/") == 1 and all(repo.split("/")) else "it must hold one slash"
    if not problem:
        try:
            validate_repo_id(repo)
        except HFValidationError as error:
            problem = one_line(error)
    if problem:
        raise InputError(f"{repo!r}: expected owner/name as on the Hugging Face Hub ({problem}): correct the name")


def fetch(name: str, *, endpoint: str | None = None, cache_dir: str | Path | None = None) -> Path:
    """The checkpoint of a network on the Hub, downloaded unless it is in the cache.

    Without a network, or with HF_HUB_OFFLINE=1, the cached file is taken as it is.

    Args:
        name: "hf:owner/name" or "hf:owner/name@revision" (a branch, a tag or a commit).
        endpoint: address of the Hub or a mirror of it; None takes HF_ENDPOINT, or the Hub itself.
        cache_dir: where to keep files; None takes the usual place (HF_HUB_CACHE, HF_HOME).

    Raises:
        InputError: the name is malformed, there is no such repository, revision or file, no right to read it, or
            neither a network nor a cached file; it says what to do.
    """
    from huggingface_hub import hf_hub_download

    wanted = HubName.parse(name)
    try:
        path = hf_hub_download(
            wanted.repo, FILE, revision=wanted.revision, endpoint=endpoint, cache_dir=cache_dir,
            library_name="sparseinst", library_version=__version__,
        )  # fmt: skip
    except failures() as error:
        cached = _cached(wanted, error, cache_dir)
        if cached is None:
            raise InputError(f"{name}: {_why_not_fetched(wanted, error, endpoint)}") from error
        _LOGGER.warning("%s: the Hub cannot be reached (%s): the cached file is used", name, one_line(error))
        return cached
    return Path(path)


def failures() -> tuple[type[Exception], ...]:
    """What a request may end in: the library's own errors, and those of whichever HTTP library it is built on.

    It also gives a plain RuntimeError, for an upload that broke off and (some versions) where there is no network.
    """
    from huggingface_hub import errors

    transport: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    return transport, OSError, RuntimeError, errors.EntryNotFoundError


def one_line(error: BaseException) -> str:
    """An error's message without its line breaks, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _cached(wanted: HubName, error: Exception, cache_dir: str | Path | None) -> Path | None:
    """The cached file, where the connection failed in a way for which the library does not look there itself."""
    from huggingface_hub import errors, try_to_load_from_cache

    if isinstance(error, errors.EntryNotFoundError | errors.HfHubHTTPError):
        return None
    found = try_to_load_from_cache(wanted.repo, FILE, cache_dir=cache_dir, revision=wanted.revision)
    return Path(found) if isinstance(found, str) else None


def _why_not_fetched(wanted: HubName, error: Exception, endpoint: str | None) -> str:
    """What went wrong, and what to do."""
    from huggingface_hub import errors

    page = f"{wanted.repo}{f' at {wanted.revision}' if wanted.revision else ''}"
    # the order matters: each kind is told from the wider one after it
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _not_reached(wanted, error)
    if isinstance(error, errors.GatedRepoError):
        return f"{page} is gated: ask for access on its page, then log in with `hf auth login` (or set HF_TOKEN)"
    if isinstance(error, errors.RepositoryNotFoundError) or status(error) == 401:
        return (
            f"expected a repository {wanted.repo}, found none that may be read: check the name; if it is private, log "
            "in with `hf auth login` (or set HF_TOKEN) as someone who may read it"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{wanted.repo} has no branch, tag or commit {wanted.revision!r}: check it, or leave @... out"
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f"expected {FILE} in {page}, found {_listing(wanted, endpoint)}: it is not a repository of this package "
            "(`sparseinst push` makes them)"
        )
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):  # the disk, or what the Hub answered
        return f"{FILE} of {page} could not be fetched ({type(error).__name__}: {one_line(error)}): try again"
    return _not_reached(wanted, error)


def _not_reached(wanted: HubName, error: Exception) -> str:
    from huggingface_hub import constants

    revision = f" --revision {wanted.revision}" if wanted.revision else ""
    why = (
        "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else
        f"the Hub cannot be reached: {one_line(error.__cause__ or error)}"
    )  # fmt: skip
    return (
        f"{FILE} of {wanted.repo} is not in the cache, and {why}. On a machine with a network run "
        f"`hf download {wanted.repo} {FILE}{revision}` and name the file that it prints (copied here) as the model, or "
        "copy its whole cache and set HF_HOME to the copy"
    )


def _listing(wanted: HubName, endpoint: str | None) -> str:
    """The files of a repository, as far as they can be had."""
    from huggingface_hub import HfApi

    names: list[str] = []
    with suppress(*failures()):  # the error that is being explained counts, not this one
        names = sorted(HfApi(endpoint=endpoint).list_repo_files(wanted.repo, revision=wanted.revision))
    if not names:
        return "no such file"
    return listed(names, most=_LISTED)


def status(error: BaseException) -> int | None:
    """The HTTP status that an error stands for."""
    return getattr(getattr(error, "response", None), "status_code", None)
