"""Promises: site.toml is read strictly, all that is wrong is said at once, and what is read is complete."""

from pathlib import Path

import pytest
from flwr.common.config import parse_config_args

from fedvsr.deploy.processes import supernode
from fedvsr.deploy.site import Site, site_text
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower import keys

GOOD = 'site = "north"\ndata-dir = "/videos"\nserver = "host:9092"\nca = "ca.crt"\nkey = "north.key"\n'


@pytest.fixture
def path(tmp_path):
    (tmp_path / "ca.crt").write_text("")
    (tmp_path / "north.key").write_text("")
    (tmp_path / "site.toml").write_text(GOOD)
    return tmp_path / "site.toml"


def test_a_new_file_reads_as_what_it_was_made_of(tmp_path):
    text = site_text("north", Path("/my videos"), "host:9092", Path("/other"))
    site = Site.parse(text, tmp_path / "site.toml")
    assert (site.site, site.data_dir, site.held_out_dir) == ("north", Path("/my videos"), Path("/other"))
    assert (site.server, site.host) == ("host:9092", "host")
    assert site_text("north", Path("/v"), "h:1", None).count("# held-out-dir") == 1


def test_a_new_file_names_every_key(tmp_path):
    text = site_text("north", Path("/videos"), "host:9092", None)
    keys_of_it = Site.keys()
    assert [key for key in keys_of_it if f"\n{key} = " not in text and f"\n# {key} = " not in text] == []


def test_paths_start_at_the_file(path):
    site = Site.of(path.parent)
    assert site == Site.of(path)
    assert site.ca == path.parent / "ca.crt"
    assert (site.home, site.memory_dir) == (path.parent / "home", path.parent / "memory")


def test_what_is_left_out_has_a_default(path):
    site = Site.of(path)
    assert (site.device, site.workers, site.memory_mb, site.port) == ("auto", 1, 2048, 9094)
    assert (site.held_out_dir, site.weights_dir) == (None, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('divice = "cpu"', "'divice' is no key of this file; did you mean 'device'?"),
        ('folder = "/"', "'folder' is no key of this file"),
        ('workers = "2"', "'workers': input should be a valid integer, got '2'"),
        ("workers = 0", "'workers': input should be greater than or equal to 1, got 0"),
        ("memory-mb = 1.5", "'memory-mb': input should be a valid integer, got 1.5"),
        ('device = "gpu"', "'device': string should match pattern"),
        ("device = 1979-05-27", "'device': string should match pattern"),
        ("held-out-dir = '/a\"b'", "'held-out-dir': must be a path without quotes"),
        ("port = 70000", "'port': input should be less than or equal to 65535, got 70000"),
    ],
)
def test_a_wrong_line_is_refused(path, line, words):
    path.write_text(GOOD + line + "\n")
    with pytest.raises(ConfigurationError) as caught:
        Site.of(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(path):
    path.write_text('sight = "north"\nworkers = 0\nserver = "host"\n')
    with pytest.raises(ConfigurationError) as caught:
        Site.of(path)
    for words in ("'sight' is no key", "'site' is missing", "'data-dir' is missing", "'workers'", "'server'"):
        assert words in str(caught.value)


def test_what_is_no_toml_is_refused(path):
    path.write_text("site: north\n")
    with pytest.raises(ConfigurationError, match=r"site\.toml' must be a TOML file, but"):
        Site.of(path)
    with pytest.raises(
        ConfigurationError, match="can't be read: No such file or directory; 'fedvsr deploy' makes it"
    ):
        Site.of(path.with_name("gone.toml"))


def test_flower_reads_the_node_configuration_as_it_was_written(path):
    path.write_text(GOOD.replace("/videos", "/my videos/ä") + 'workers = 3\nheld-out-dir = "/held out"\n')
    command = supernode(Site.of(path)).command
    node_config = parse_config_args([command[command.index("--node-config") + 1]])
    assert node_config == {
        keys.SITE: "north",
        keys.DATA_DIR: "/my videos/ä",
        keys.HELD_OUT_DIR: "/held out",
        keys.MEMORY_DIR: str(path.parent / "memory"),
        keys.DEVICE: "auto",
        keys.DEVICES: 1,
        keys.WORKERS: 3,
        keys.MEMORY_MB: 2048,
        keys.AUDIT_DIR: str(path.parent / "audit"),
        keys.LEAST_STEPS: 20,
        keys.LEAST_WINDOWS: 40,
        keys.LEAST_PATCH: 16,
        keys.MOST_LR: 0.1,
        keys.MOST_EPS: 1e-6,
        keys.MOST_LOSS_EPS: 1e-3,
        keys.OPTIMISERS: "Adam AdamW SGD",
        keys.LOSSES: "WeightedSum Charbonnier HighFrequencyLoss",
        keys.MODELS: "Recurrent BasicVSR BasicVSRPlusPlus IART VRT RVRT",
        keys.ROUNDS_A_DAY: 200,
        keys.EVALUATE: True,  # there is a folder for it
        keys.INSIST: False,
        keys.KEY: str(path.parent / "north.key"),  # which signs the keys of secure rounds
    }


def test_limits_are_the_careful_ones_unless_the_file_says_otherwise(path):
    path.write_text(GOOD + 'least-steps = 1\noptimisers = ["SGD"]\nrounds-a-day = 3\n')
    node_config = Site.of(path).node_config()
    assert (node_config[keys.LEAST_STEPS], node_config[keys.LEAST_WINDOWS]) == (1, 40)
    assert (node_config[keys.OPTIMISERS], node_config[keys.ROUNDS_A_DAY]) == ("SGD", 3)
    assert node_config[keys.EVALUATE] is False  # nothing to score on


def test_a_name_of_a_class_is_one_word(path):
    path.write_text(GOOD + 'losses = ["Charbonnier os.system"]\n')
    with pytest.raises(ConfigurationError, match=r"'losses\.0': string should match pattern"):
        Site.of(path)


def test_encryption_and_authentication_are_the_default(path):
    command = supernode(Site.of(path)).command
    assert "--insecure" not in command
    assert command[command.index("--root-certificates") + 1] == str(path.parent / "ca.crt")
    assert command[command.index("--auth-supernode-private-key") + 1] == str(path.parent / "north.key")


def test_only_asked_for_it_starts_without(path):
    command = supernode(Site.of(path), insecure=True).command
    assert "--insecure" in command
    assert not {"--root-certificates", "--auth-supernode-private-key"} & set(command)


@pytest.mark.parametrize("gone", ["ca", "key"])
def test_without_ca_or_key_it_does_not_start(path, gone):
    path.write_text("".join(line for line in GOOD.splitlines(True) if not line.startswith(gone)))
    with pytest.raises(ConfigurationError, match=r"must name 'ca' and 'key'.*'--insecure' is for a try-out"):
        supernode(Site.of(path))


def test_a_file_that_is_not_there_is_named(path):
    (path.parent / "ca.crt").unlink()
    with pytest.raises(ConfigurationError, match=r"names '.*ca\.crt', but there is no such file"):
        supernode(Site.of(path))
