"""The upload itself: a private repository before the run, one commit with all files after it."""

from __future__ import annotations

import shlex
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, but not exported explicitly
    are_progress_bars_disabled,
    build_hf_headers,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
    hf_raise_for_status,
)

from quantize_cli.checkpoints.download import quiet
from quantize_cli.errors import OutputError, QuantizeError, printable
from quantize_cli.hub_upload import card
from quantize_cli.observer import Observer
from quantize_cli.report.figures import size
from quantize_cli.report.model import Report

#: A longer card was not written here.
_MAX_CARD_BYTES = 1 << 20
_CONFLICT, _REFUSALS = 409, (401, 403)


@dataclass(frozen=True, slots=True)
class Push:
    """An upload to one repository."""

    repository: str  #: ORG/NAME
    public: bool  #: make it public after the upload
    _api: HfApi = field(default_factory=HfApi)

    def prepare(self) -> None:
        """Make the repository, private, unless it exists, so that what cannot be uploaded is refused before the run.

        Raises:
            OutputError: There is no token, or it may not write there, or the Hub cannot be reached.
        """
        if get_token() is None:
            raise OutputError(
                f"--push-to {self.repository} needs a token that may write there; set HF_TOKEN, or run `hf auth login`."
            )
        with self._asking("{repository} cannot be written at {endpoint} ({why}); {advice}."):
            try:
                self._api.create_repo(self.repository, private=True)
            except HfHubHTTPError as error:
                if error.response.status_code in _REFUSALS:  # a token for this repository alone may not make any
                    self._check_writable(error)
                elif error.response.status_code != _CONFLICT:  # it exists
                    raise

    def upload(self, reports: Sequence[Report], license: Mapping[str, str], observer: Observer) -> None:
        """Upload the files of one run in one commit, with the model card, and publish the repository if asked.

        Args:
            reports: Those of the run.
            license: As for `card.render`.
            observer: Hears when the upload begins and where the files are.

        Raises:
            OutputError: The upload failed; the local files stay.
        """
        paths = [Path(file.path) for report in reports for file in report.files]
        total = sum(file.bytes for report in reports for file in report.files)
        observer.noted(f"Uploading {len(paths)} {'file' if len(paths) == 1 else 'files'}, {size(total)}.")
        again = " && ".join(f"hf upload {self.repository} {shlex.quote(str(path))}" for path in paths)
        with self._asking(
            "The files are complete here, but not at {endpoint}/{repository} ({why}); {advice}, and then upload them "
            "with `{again}`.",
            again=printable(again),
        ):
            text = self._card(reports, license)
            if text is None:
                observer.noted(f"{self.repository} has a README.md of its own, which stays as it is.")
            self._api.create_commit(
                self.repository,
                [
                    *(CommitOperationAdd(path.name, path) for path in paths),
                    *([CommitOperationAdd("README.md", text.encode())] if text is not None else []),
                ],
                commit_message=f"Upload {', '.join(report.format for report in reports)}",
            )
        if self.public:
            with self._asking("{endpoint}/{repository} has the files, but could not be made public ({why}); {advice}."):
                self._api.update_repo_settings(self.repository, private=False)
        observer.noted(f"Uploaded to {constants.ENDPOINT}/{self.repository}.")

    def _card(self, reports: Sequence[Report], license: Mapping[str, str]) -> str | None:
        """Return the card to upload; None if the repository has one that was not written here."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = Path(self._api.hf_hub_download(self.repository, "README.md", local_dir=folder))
            except EntryNotFoundError:
                return card.render(reports, self.repository, license)
            content = path.read_bytes() if path.stat().st_size <= _MAX_CARD_BYTES else b""
        return card.renewed(content.decode("utf-8", "replace"), reports)

    def _check_writable(self, refusal: HfHubHTTPError) -> None:
        """Raise `refusal` unless the token may write to the repository."""
        address = f"{constants.ENDPOINT}/api/models/{self.repository}/auth-check/write"
        try:
            hf_raise_for_status(get_session().get(address, headers=build_hf_headers()))
        except HfHubHTTPError:
            raise refusal from None

    @contextmanager
    def _asking(self, template: str, **more: str) -> Iterator[None]:
        """Turn any exception of the client's layers into `template`, and keep the client from drawing bars."""
        drawn = not are_progress_bars_disabled() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None
        if drawn:
            disable_progress_bars()
        try:
            with quiet():
                yield
        except QuantizeError:
            raise
        except Exception as error:
            why, advice = _cause(error)
            names = {"repository": self.repository, "endpoint": constants.ENDPOINT, **more}
            raise OutputError(template.format(why=_without_token(why), advice=advice, **names)) from error
        finally:
            if drawn:
                enable_progress_bars()


def _cause(error: Exception) -> tuple[str, str]:
    """Return what went wrong, and what to do about it."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for link in chain:
        if isinstance(link, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE forbids it", "unset that variable"
        if isinstance(link, HfHubHTTPError):
            status = link.response.status_code
            if status in _REFUSALS:
                return f"HTTP {status}", "use a token with permission to write to it"
            return f"HTTP {status}", "try again later"
    return textwrap.shorten(str(chain[-1]), 200) or type(chain[-1]).__name__, "check the network, or try again later"


def _without_token(text: str) -> str:
    token = get_token()
    return printable(text.replace(token, "***") if token else text)
