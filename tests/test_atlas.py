"""The atlas: workspaces by id and by folder, those that are gone and those that are not watched too."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from fakes import FakeScanner, workspace

from trio_cursor.atlas import Atlas
from trio_cursor.cursor.guest import FileStat, Signature
from trio_cursor.cursor.listing import Listing
from trio_cursor.watched import Watched

PROFILE = "/cursor/User"


@pytest.fixture
def scanner():
    places = (workspace(None), workspace("w1"), workspace("w2"))
    return FakeScanner(listings={PROFILE: Listing(PROFILE, places)})


@pytest.fixture
def atlas(scanner):
    return Atlas(scanner, lambda item: item.id != "w2")


def test_a_workspace_by_its_directory(atlas):
    assert atlas.workspace(PROFILE, "w1") == workspace("w1")
    assert atlas.global_of(PROFILE) == workspace(None)


def test_one_whose_directory_is_gone_keeps_its_name(atlas):
    gone = atlas.workspace(PROFILE, "w9")
    assert (gone.id, gone.profile, gone.path) == ("w9", PROFILE, None)
    assert Path(gone.database) == Path(PROFILE, "workspaceStorage", "w9", "state.vscdb")
    assert atlas.workspace("/other", "w1").profile == "/other"
    assert Path(atlas.global_of("/other").database) == Path("/other/globalStorage/state.vscdb")


def test_a_workspace_by_its_folder(atlas):
    assert atlas.at_folder(PROFILE, "/home/demo/w1") == workspace("w1")
    assert atlas.at_folder(PROFILE, "file:///home/demo/w2") == workspace("w2")
    assert atlas.at_folder(PROFILE, "/home/demo") is None
    assert atlas.at_folder("/other", "/home/demo/w1") is None


def test_of_several_with_one_folder_the_one_written_last(scanner, atlas):
    twins = [attrs.evolve(workspace(name), path="/home/demo/twin") for name in ("a", "b", "c")]
    scanner.listings = {PROFILE: Listing(PROFILE, tuple(twins))}
    for item, written in zip(twins, (5, 9, 7), strict=True):
        stat = FileStat(1, written, 4096, written * 1_000_000)
        scanner.watched[item.database] = Watched(item, Signature(stat, None))
    assert atlas.at_folder(PROFILE, "/home/demo/twin") == twins[1]


def test_a_new_listing_is_seen(scanner, atlas):
    assert atlas.workspace(PROFILE, "w3").path is None
    scanner.listings = {PROFILE: Listing(PROFILE, (workspace("w3"),))}
    assert atlas.workspace(PROFILE, "w3") == workspace("w3")


def test_what_is_to_be_reported(atlas):
    assert atlas.is_wanted(workspace("w1"))
    assert not atlas.is_wanted(workspace("w2"))


@pytest.mark.parametrize("folder", ["/home/demo/secret", "file:///home/demo/secret"])
def test_a_folder_is_held_against_the_globs_though_no_workspace_is_there(scanner, folder):
    atlas = Atlas(scanner, lambda _: True, allowed=lambda item: item.path != "/home/demo/secret")
    assert not atlas.is_folder_wanted(folder)
    assert atlas.is_folder_wanted("/home/demo/open")
