"""Reading files and folders: every message names the file, the document and the line."""

import pytest

import broker_topology
from broker_topology import InvalidTopology, load


def test_a_folder_is_read_in_order_without_its_kustomization(tmp_path, file):
    file({}, "b.yaml", metadata={"name": "b"})
    file({}, "a.yml", metadata={"name": "a"})
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yml]")
    (tmp_path / "notes.txt").write_text("not yaml: [")
    assert [item.origin.name for item in load([tmp_path])] == ["a", "b"]


def test_a_file_named_twice_is_read_once(tmp_path, file):
    assert len(load([file({}), tmp_path])) == 1


def test_all_files_are_read_before_anything_is_refused(tmp_path, file):
    (tmp_path / "a.yaml").write_text("{")
    file({"vhots": "x"}, "b.yaml")
    with pytest.raises(InvalidTopology) as refused:
        load([tmp_path, tmp_path / "missing.yaml"])
    assert len(refused.value.findings) == 3


def test_an_error_names_its_document(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(f"{text({})}---\n{text({'queue': {}}, metadata={'name': 'second'})}---\n")
    with pytest.raises(InvalidTopology) as refused:
        load([file])
    assert str(refused.value) == f"{file} (document 2): spec.queue: unknown field, did you mean queues?"


def test_malformed_yaml_is_reported_on_one_line_with_its_position(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("spec:\n  queues: {a: [}\n")
    with pytest.raises(InvalidTopology) as refused:
        load([file])
    message = str(refused.value)
    assert message.startswith(f"{file}: not valid YAML: line 2, column ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"spec:\n  queues: {q: {}, q: {}}\n", r"line 2.*the key 'q' is written twice"),
        (b"!!python/object/apply:os.getcwd []\n", "not valid YAML: line 1"),
        (b"\xff\xfe\x00", "cannot be read: is not UTF-8 text"),
        (b"", "holds no Topology"),
        (b"- a\n- b\n", "must be a mapping, not a list"),
        (b"[" * 5000, "not valid YAML"),
    ],
    ids=["duplicate key", "Python tag", "not text", "empty", "a list", "nested deeply"],
)
def test_a_file_that_holds_no_topology_is_refused(tmp_path, content, message):
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidTopology, match=message):
        load([file])


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(InvalidTopology, match=r"the folder holds no .yaml file"):
        load([tmp_path])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidTopology, match=r"none.yaml: cannot be read: No such file or directory"):
        load([tmp_path / "none.yaml"])


def test_merge_keys_work(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text({}) + "  queues:\n    a: &defaults {deliveryLimit: 5}\n    b: {<<: *defaults, maxLength: 3}\n")
    (item,) = load([file])
    assert (item.spec.queues["b"].delivery_limit, item.spec.queues["b"].max_length) == (5, 3)


def test_the_vhost_can_be_replaced(loaded):
    (item,) = broker_topology.with_vhost(loaded({}), "other")
    assert item.spec.vhost == "other"


def test_a_file_without_a_topology_is_an_error_among_other_files(tmp_path, file):
    file({"queues": {"q": {}}}, "full.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    with pytest.raises(InvalidTopology, match=r"empty\.yaml: holds no Topology"):
        load([tmp_path])


def test_a_missing_file_of_a_kustomization_is_an_error(tmp_path, file):
    file({"queues": {"q": {}}}, "full.yaml")
    kustomization = tmp_path / "kustomization.yaml"
    kustomization.write_text("resources: [full.yaml, ../base, https://example.org/a.yaml]")
    assert len(load([tmp_path])) == 1
    for content, message in (
        ("resources: [full.yaml, lost.yaml]", r"kustomization\.yaml: names lost\.yaml, which does not exist"),
        ("resources: [", r"kustomization\.yaml: not valid YAML"),
    ):
        kustomization.write_text(content)
        with pytest.raises(InvalidTopology, match=message):
            load([tmp_path])
