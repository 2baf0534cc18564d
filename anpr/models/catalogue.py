"""All models of this machine: the package's, the store's, and the compiled forms of both.

What the command line and the HTTP service say and do about models, they do through this.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anpr.errors import StoreDisabled
from anpr.models import compiled, disk, manifest, survey, tidy
from anpr.models.store import Store, store_folder
from anpr.models.survey import Status
from anpr.models.tidy import Leftover


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``weights`` has the package's manifest; ``cache`` is the user's folder, if there is one."""

    weights: Path
    cache: Path | None
    lock_timeout_s: float = disk.LOCK_TIMEOUT_S

    @property
    def store(self) -> Store | None:
        folder = store_folder(self.cache)
        return None if folder is None else Store(folder, self.lock_timeout_s)

    @property
    def forms(self) -> Path | None:
        """The folder of compiled forms."""
        return None if self.cache is None else self.cache / compiled.FOLDER

    def need_store(self) -> Store:
        """Raises ``StoreDisabled``."""
        store = self.store
        if store is None:
            raise StoreDisabled
        return store

    def models(self, *, hashed: bool) -> list[Status]:
        """Raises ``ModelMissing`` or ``ModelUnusable`` for a manifest."""
        return survey.survey(self.weights, self.store, hashed=hashed)

    def one(self, name: str) -> Status:
        """Raises ``ModelUnknown`` as well."""
        return survey.one(self.weights, self.store, name)

    def verify(self, name: str | None = None) -> list[Status]:
        """Hash the models; what is damaged in the store goes into quarantine.

        Raises ``ModelUnknown``, ``ModelMissing``, ``ModelUnusable`` or ``StoreError``.
        """
        return survey.verify(self.weights, self.store, name)

    def overview(self, found: Sequence[Status], *, hashed: bool) -> dict[str, Any]:
        """Statistics and health, as JSON; without ``hashed`` a look at names and sizes only."""
        told = survey.statistics(found)
        folders = (store_folder(self.cache), self.forms)
        store_bytes = sum(survey.tree_bytes(folder) for folder in folders if folder)
        reclaimable = [one.bytes for one in self._leftovers(hashed)]
        return told | survey.health(store_bytes, reclaimable).record()

    def prune(self, *, dry_run: bool) -> list[Leftover]:
        """Take what is corrupt, stale, partial or double; what it was.

        Raises ``StoreDisabled``, ``StoreError`` or ``ModelUnusable``.
        """
        store = self.need_store()
        forms = self._stale_forms()
        found = tidy.prune(store, self._known(), dry_run=dry_run)
        if not dry_run:
            with disk.told():
                for one in forms:
                    one.path.unlink(missing_ok=True)
        return [*found, *forms]

    def clear(self) -> int:
        """Remove every model of the store and every compiled form; the bytes that were freed.

        Raises ``StoreDisabled`` or ``StoreError``.
        """
        freed = tidy.clear(self.need_store())
        forms = self.forms
        if forms is not None and forms.is_dir():
            freed += survey.tree_bytes(forms)
            with disk.told():
                shutil.rmtree(forms)
        return freed

    def _known(self) -> frozenset[str]:
        """The SHA-256 of the package's models."""
        entries = manifest.read(self.weights).values()
        return frozenset(part.sha256 for entry in entries for part in entry.all_parts)

    def _leftovers(self, hashed: bool) -> list[Leftover]:
        store = self.store
        if store is None:
            return []
        return [
            *tidy.leftovers(store, self._known(), hashed=hashed),
            *(self._stale_forms() if hashed else ()),
        ]

    def _stale_forms(self) -> list[Leftover]:
        """Compiled forms that nothing loads: damaged, of other versions, or of a model that went.

        A form is made again when it is needed, so none is missed.
        """
        store = self.store
        theirs = store.entries().values() if store else ()
        known = self._known() | {part.sha256 for entry in theirs for part in entry.all_parts}
        found = []
        for form in compiled.survey(self.forms) if self.forms else ():
            orphan = form.origin is None or form.origin.source_sha256 not in known
            if form.state == "damaged":
                found.append(Leftover("corrupt", form.path, form.bytes))
            elif orphan or form.state == "stale":
                found.append(Leftover("stale", form.path, form.bytes))
        return found
