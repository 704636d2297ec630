import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from audit.errors import RefusedError, WorkspaceError
from audit.exchange import writing
from audit.records.dataset import Source, SourceKind


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def put(target, text="new", **options):
    with writing.staged(target, **options) as (stage,):
        stage.write_text(text)


@pytest.fixture
def pets(tmp_path, dataset_of):
    root = tmp_path / "pets"
    (root / "cat").mkdir(parents=True)
    source = Source(kind=SourceKind.FOLDER, location=str(root), root=str(root))
    return dataset_of(keys=["cat/a.png", "cat/b.png"], labels=[0, 1], source=source)


@pytest.fixture
def listed(tmp_path, dataset_of):
    """A table beside one image, with others in a folder of their own and elsewhere."""
    home = tmp_path / "home"
    (home / "images" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    source = Source(
        kind=SourceKind.TABLE,
        location=str(home / "t.csv"),
        root=str(home),
        labels=str(home / "t.csv"),
    )
    paths = ["beside.png", "images/a.png", str(tmp_path / "elsewhere" / "b.png")]
    return dataset_of(keys=paths, labels=[0, 1, 1], source=source)


def test_a_file_appears_whole_with_the_usual_permissions(tmp_path):
    put(tmp_path / "out.csv", "text")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "out.csv").read_text() == "text"
    assert (tmp_path / "out.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert names(tmp_path) == ["out.csv", "plain"]


def test_an_existing_output_is_refused_until_forced(tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(RefusedError, match="--force"):
        put(out)
    assert out.read_text() == "old"
    put(out, force=True)
    assert out.read_text() == "new"


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RefusedError, match="--force"):
        put(tmp_path / "out")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "other").write_text("other")
    (tmp_path / "out").symlink_to(tmp_path / "other")
    put(tmp_path / "out", force=True)
    assert (tmp_path / "other").read_text() == "other"
    assert not (tmp_path / "out").is_symlink()


def test_an_output_made_meanwhile_is_not_overwritten(tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(RefusedError), writing.staged(out) as (stage,):  # noqa: PT012
        stage.write_text("mine")
        out.write_text("theirs")
    assert out.read_text() == "theirs"
    assert names(tmp_path) == ["out.csv"]


def test_a_missing_parent_is_named(tmp_path):
    with pytest.raises(RefusedError, match=r"There is no folder .*missing.*make it first"):
        put(tmp_path / "missing" / "out.csv")


def test_a_failing_body_leaves_nothing_behind(tmp_path):
    targets = tmp_path / "a", tmp_path / "b"
    with pytest.raises(ZeroDivisionError), writing.staged(*targets) as stages:  # noqa: PT012
        stages[0].mkdir()
        (stages[0] / "file").write_text("x")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_folder_that_is_no_export_is_never_replaced(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years")
    with pytest.raises(RefusedError, match="did not write"), writing.staged(home, force=True):
        pass
    assert (home / "thesis.txt").read_text() == "years"


def test_a_file_does_not_replace_a_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RefusedError, match="is a folder, and a file"):
        put(tmp_path / "out", force=True)
    assert names(tmp_path) == ["out"]


def test_an_export_folder_is_replaced_as_a_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"labeltrace_version": "0", "dataset_fingerprint": "f"}')
    (out / "old.png").write_text("old")
    with writing.staged(out, force=True) as (stage,):
        stage.mkdir()
        (stage / "new.png").write_text("new")
    assert names(out) == ["new.png"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("where", ["pets/out.csv", "pets/cat/out.csv", "pets", "link/out.csv"])
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_into_a_source_folder(tmp_path, pets, where, force):
    (tmp_path / "link").symlink_to(tmp_path / "pets" / "cat")
    with pytest.raises(RefusedError, match="inside the source"):
        put(tmp_path / where, dataset=pets, force=force)
    assert names(tmp_path / "pets") == ["cat"]


def test_a_source_reached_by_a_link_is_protected_at_its_real_place(tmp_path, dataset_of):
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    source = Source(
        kind=SourceKind.FOLDER, location=str(tmp_path / "alias"), root=str(tmp_path / "alias")
    )
    dataset = dataset_of(keys=["a", "b"], labels=[0, 1], source=source)
    with pytest.raises(RefusedError, match="inside the source"):
        put(tmp_path / "real" / "out.csv", dataset=dataset)


def test_a_target_that_links_into_the_source_is_refused(tmp_path, pets):
    (tmp_path / "out.csv").symlink_to(tmp_path / "pets" / "cat" / "a.png")
    with pytest.raises(RefusedError, match="inside the source"):
        put(tmp_path / "out.csv", dataset=pets, force=True)


def test_a_target_that_holds_the_source_is_refused(tmp_path, pets):
    with pytest.raises(RefusedError, match="holds the source"):
        put(tmp_path, dataset=pets, force=True)


@pytest.mark.parametrize(
    "where", ["home/t.csv", "home/beside.png", "home/images/x", "home/images/deep/x", "elsewhere/x"]
)
def test_a_table_and_the_folders_of_its_images_are_protected(tmp_path, listed, where):
    with pytest.raises(RefusedError, match="inside the source"):
        put(tmp_path / where, dataset=listed, force=True)


def test_an_output_may_lie_beside_the_table(tmp_path, listed):
    put(tmp_path / "home" / "scores.csv", dataset=listed)
    put(tmp_path / "out.csv", dataset=listed)


def child(code, **options):
    """Run code in a process of its own; it prints the sentence that it got."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom audit.errors import AuditError\n"
        "from audit.exchange import writing\nout = Path(sys.argv[1])\n"
        f"{code}\n"
        "try:\n"
        "    with writing.staged(out) as (stage,):\n"
        "        stage.write_bytes(bytes(100_000))\n"
        "except AuditError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    return lambda out: (
        subprocess.run(
            [sys.executable, "-c", script, str(out)],
            cwd=Path(writing.__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
            # Under a limit on files it would leave compiled modules cut short, for everybody.
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            **options,
        ).stdout
    )


def test_a_file_that_may_not_grow_leaves_one_sentence_and_nothing_else(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    said = child("", preexec_fn=limit)(tmp_path / "out.csv")
    assert said.startswith("WorkspaceError")
    assert "out.csv' was not written" in said
    assert "larger than is allowed" in said
    assert said.count("\n") == 1
    assert names(tmp_path) == []


def test_a_folder_that_may_not_be_written_to_is_said_in_one_sentence(tmp_path):
    folder = tmp_path / "sealed"
    folder.mkdir()
    folder.chmod(0o555)
    # The superuser may write anywhere, so the child becomes somebody else once it stands there.
    become = "" if os.getuid() else "os.setuid(65534)"
    said = child(f"os.chdir({str(folder)!r})\n{become}")(Path("out.csv"))
    assert said.startswith("WorkspaceError")
    assert "writing there is not permitted" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    def fill():
        with Path("/dev/full").open("wb") as file:
            file.write(bytes(100))

    with (
        pytest.raises(WorkspaceError, match=r"was not written.*: the disk is full"),
        writing.staged(tmp_path / "out.csv"),
    ):
        fill()
    assert names(tmp_path) == []
