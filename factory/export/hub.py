"""Upload of an open release to the Hugging Face Hub.

The token comes from the environment only, as HF_TOKEN, and goes nowhere else.
"""

from __future__ import annotations

import os
from pathlib import Path

from factory.artifacts import Check, Decision
from factory.config import Save
from factory.errors import ConfigError, FactoryError

TOKEN = "HF_TOKEN"
OFFLINE = "HF_HUB_OFFLINE"
ENDPOINT = "HF_ENDPOINT"


def require_usable(save: Save) -> None:
    """Refuse `save.push_to_hub` at once where it cannot work, before hours of measuring."""
    if not save.push_to_hub:
        return
    problems = (
        (not save.hub_model_id, "save.hub_model_id", "is empty: give OWNER/NAME"),
        (not os.environ.get(TOKEN), TOKEN, "is not set in the environment"),
        (os.environ.get(OFFLINE) not in (None, "", "0"), OFFLINE, "is set: no upload is possible"),
    )
    for wrong, where, what in problems:
        if wrong:
            raise ConfigError(
                f"{what} (save.push_to_hub is on)",
                where=where,
                hint="mend it, or set save.push_to_hub to false",
            )


def push(save: Save, folder: Path, checks: list[Check]) -> dict[str, Decision]:
    """Upload a release whose checks are all open to a private repository, if configured.

    A closed check is never uploaded, whatever is waived later: that takes a person's own upload.
    Raises FactoryError when the hub cannot be reached or refuses.
    """
    if not save.push_to_hub or save.hub_model_id is None:
        return {}
    closed = [check.id for check in checks if check.closed]
    if closed:
        return {"hub": Decision(value=None, reason=f"not uploaded: {', '.join(closed)} closed")}
    commit = _upload(save.hub_model_id, folder)
    return {"hub": Decision(value=commit, reason=f"uploaded to {save.hub_model_id} (private)")}


def _upload(repository: str, folder: Path) -> str:
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=os.environ.get(ENDPOINT), token=os.environ[TOKEN])
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        done = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=folder.name)
    # ValueError: an impossible repository name.
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        raise FactoryError(
            f"upload to {repository} failed: {str(error).splitlines()[0]}",
            where="save.hub_model_id",
            hint=f"the release is complete in {folder}; check the network and the token, then run "
            "export again",
        ) from None
    return str(done.oid)
