"""Which series a TensorBoard scalar belongs to: a tag in one directory is one series, in two directories it is two.

A tag that only one writer has keeps its plain name. Two writers with the same tag (of training and of validation, say) are
told apart as TensorBoard tells their runs apart, by their directories: ``train/loss`` and ``valid/loss``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Split:
    """A plain name turned out to be two series.

    Attributes:
        tag: The plain name.
        first: What the series is called from now on that had the name so far.
        names: Every name that the tag's series have by now.
        taken: Whether the plain name is that of another series from now on.
        place: The directory of the series that had the name.
    """

    tag: str
    first: str
    names: tuple[str, ...]
    taken: bool = False
    place: str = field(default="", compare=False)


class Series:
    """The names of a trial's TensorBoard series. Directories are given without links.

    Args:
        root: The trial's directory: what is written there itself is the trial's run, and has plain names.
        wanted: The sweep's metric, which may name a series by its whole path below the trial, or by the end of it: W&B's
            `sync_tensorboard` leaves out the directory that all writers share. Where several end so, it names none of them.
    """

    def __init__(self, root: str, wanted: str | None = None) -> None:
        self._root = os.path.realpath(root)
        self._places: dict[str, str] = {}
        self._wanted = wanted
        self._owners: dict[str, dict[str, str]] = {}
        self._ends_several = False

    def is_root(self, directory: str) -> bool:
        """Whether a directory is the trial's own."""
        return self.place(directory) == os.curdir

    def is_inside(self, directory: str) -> bool:
        """Whether a directory is the trial's own, or below it."""
        return not os.path.isabs(self.place(directory))

    def names_in(self, directory: str) -> list[str]:
        """Return the names of the series that a directory has."""
        place = self.place(directory)
        return [owners[place] for owners in self._owners.values() if place in owners]

    def name(self, directory: str, tag: str) -> tuple[str, Split | None]:
        """Return the name of a tag's series in a directory, and what that makes of a series that had the name before."""
        return self.name_at(self.place(directory), tag)

    def name_at(self, place: str, tag: str) -> tuple[str, Split | None]:
        """Return the same for a directory that is given as `place` has it."""
        owners = self._owners.setdefault(tag, {})
        if place in owners:
            return owners[place], None
        whole = tag if place == os.curdir else self._whole(place, tag)
        plain = next((other for other, name in owners.items() if name == tag), None)
        if place == os.curdir:
            owners[place] = tag
            return tag, None if plain is None else self._renamed(tag, plain, _path(plain, tag), taken=True)
        if os.curdir in owners or (self._wanted == whole and not owners):
            owners[place] = whole
            return whole, None
        if not owners:
            owners[place] = tag
            return tag, None
        return self._told_apart(tag, place, plain)

    def _told_apart(self, tag: str, place: str, plain: str | None) -> tuple[str, Split | None]:
        owners = self._owners[tag]
        rival = next(
            (other for other, name in owners.items() if name == self._wanted and self._ends_so(other, tag)), None
        )
        if rival is not None and self._ends_so(place, tag):
            self._ends_several = True
            owners[rival], owners[place] = names = _path(rival, tag), _path(place, tag)
            return names[1], Split(tag=self._wanted or "", first=names[0], names=names, place=rival)
        common = _common(tuple(owners), place)
        whole = self._whole(place, tag)
        owners[place] = whole if self._wanted == whole else _label(place, common, tag)
        if plain is None or plain == common:
            return owners[place], None
        return owners[place], self._renamed(tag, plain, _label(plain, common, tag))

    def _whole(self, place: str, tag: str) -> str:
        """The path of a series below the trial, or what the metric calls it."""
        wanted = self._wanted or ""
        is_meant = self._ends_so(place, tag) and not self._ends_several
        is_free = wanted not in self._owners and wanted not in self._owners[tag].values()
        return wanted if is_meant and is_free else _path(place, tag)

    def _ends_so(self, place: str, tag: str) -> bool:
        """Whether the metric is the end of a series' path, and more than its tag, but not all of it."""
        wanted, path = self._wanted or "", _path(place, tag)
        return wanted.endswith(f"/{tag}") and path.endswith(f"/{wanted}")

    def _renamed(self, tag: str, place: str, name: str, *, taken: bool = False) -> Split:
        self._owners[tag][place] = name
        names = tuple(self._owners[tag].values())
        return Split(tag=tag, first=name, names=names, taken=taken, place=place)

    def called(self, place: str, tag: str, name: str) -> Split | None:
        """Take in that a process calls a series as the metric does; return what that makes of another's plain name."""
        owners = self._owners.setdefault(tag, {})
        plain = next(
            (other for other, known in owners.items() if known == tag and other not in {place, os.curdir}), None
        )
        common = _common(tuple(owners), place)
        owners[place] = name
        return None if plain in {None, common} else self._renamed(tag, str(plain), _label(str(plain), common, tag))

    def known_at(self, place: str, tag: str) -> str:
        """Return the name that a tag's series in a directory has so far; the tag where none is known."""
        return self._owners.get(tag, {}).get(place, tag)

    def forget(self, place: str, tag: str) -> None:
        """Forget that a directory has a series of this name: it is called otherwise from now on."""
        self._owners.get(tag, {}).pop(place, None)

    def place(self, directory: str) -> str:
        """Return a directory as TensorBoard shows it on the trial; one that is elsewhere by its whole path."""
        place = self._places.get(directory)
        if place is None:
            below = os.path.relpath(directory, self._root)
            place = self._places[directory] = directory if below.startswith(os.pardir) else below
        return place


def _path(place: str, tag: str) -> str:
    return f"{place.lstrip('/')}/{tag}"


def _common(places: tuple[str, ...], place: str) -> str:
    """The directory that all lie in; none where some are below the trial and others are not."""
    everywhere = {os.path.isabs(each) for each in (*places, place)}
    return "" if len(everywhere) > 1 else os.path.commonpath((*places, place))


def _label(place: str, common: str, tag: str) -> str:
    short = place.removeprefix(common).strip("/")
    return f"{short}/{tag}" if short else tag
