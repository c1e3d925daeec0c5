"""What a run is asked to upload; the Hub's client is loaded only if it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from quantize_cli.checkpoints.address import read_address
from quantize_cli.errors import UsageError, shown
from quantize_cli.gguf_file.fields import Field

if TYPE_CHECKING:
    from quantize_cli.hub_upload.push import Push

#: Key of the GGUF file, which has the source's license -> its name on a model card.
_LICENSE = {
    "general.license": "license",
    "general.license.name": "license_name",
    "general.license.link": "license_link",
}


def asked_push(push_to: str | None, *, public: bool, to_files: bool) -> Push | None:
    """Return the upload that the keywords ask for; `to_files` tells whether the run writes files.

    Raises:
        UsageError: There is nothing to upload, or `push_to` is not ORG/NAME.
    """
    if push_to is None:
        if public:
            raise UsageError("--public is for a repository that files are uploaded to; name one with --push-to.")
        return None
    if not to_files:
        raise UsageError("--push-to uploads files, but the output is a stream; name a file or a folder with -o.")
    address = read_address(push_to)
    if address is None or address.revision is not None or address.file is not None:
        raise UsageError(f"--push-to takes a repository on the Hub, ORG/NAME, not {shown(push_to)}.")
    from quantize_cli.hub_upload.push import Push

    return Push(address.model_id, public)


def license_of(metadata: Iterable[Field]) -> dict[str, str]:
    """Return the source's license as a model card states it, from the metadata of a GGUF file."""
    return {_LICENSE[field.key]: str(field.value) for field in metadata if field.key in _LICENSE}
