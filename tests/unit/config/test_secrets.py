"""secrets.toml: read by its owner only, shown to nobody."""

from __future__ import annotations

import json
import os

import pytest

from agent.config import ConfigProblems, Login, Secrets, read_secrets

PASSWORD = "Gwangan77"
RIGHT = f'[camera.cam01]\nusername = "recorder"\npassword = "{PASSWORD}"\n'


def write(tmp_path, content: str, mode: int = 0o600):
    file = tmp_path / "secrets.toml"
    file.write_text(content, encoding="utf-8")
    file.chmod(mode)
    return file


def test_log_ins_are_read_and_hidden(tmp_path):
    secrets = read_secrets(write(tmp_path, RIGHT))
    login = secrets.login("cam01")
    assert (login.username, login.password) == ("recorder", PASSWORD)
    assert secrets.login("cam02") is None
    assert list(secrets.cameras()) == ["cam01"]
    for shown in (repr(secrets), str(secrets), repr(login), f"{secrets} {login}"):
        assert PASSWORD not in shown
        assert "recorder" not in shown


def test_no_file_is_no_secrets(tmp_path):
    assert read_secrets(tmp_path / "secrets.toml") == Secrets()
    assert read_secrets(str(tmp_path / "secrets.toml")) != "nothing"


def test_an_empty_password_is_a_password(tmp_path):
    assert read_secrets(write(tmp_path, RIGHT.replace(PASSWORD, ""))).login("cam01") == Login("recorder", "")


def test_only_the_worker_that_needs_them_gets_them(tmp_path):
    secrets = read_secrets(write(tmp_path, RIGHT + RIGHT.replace("cam01", "cam02")))
    sent = json.loads(json.dumps(secrets.to_json(["cam02", "cam03"])))
    assert list(sent) == ["cam02"]
    assert Secrets.from_json(sent).login("cam02") == secrets.login("cam02")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o602])
def test_a_file_open_to_others_is_refused(tmp_path, mode):
    with pytest.raises(ConfigProblems) as caught:
        read_secrets(write(tmp_path, RIGHT, mode))
    (problem,) = caught.value.problems
    assert problem.code == "CONFIG_SECRETS_MODE"
    assert problem.found == f"{mode:04o}"
    assert problem.example == f"chmod 600 {tmp_path / 'secrets.toml'}"


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (f'[camera.cam01]\npassword = "{PASSWORD}"', ["camera.cam01.username"]),
        ('[camera.cam01]\nusername = "x"', ["camera.cam01.password"]),
        (
            f'[camera.cam01]\nusername = 1\npassword = ["{PASSWORD}"]',
            ["camera.cam01.username", "camera.cam01.password"],
        ),
        (f'[camera.cam01]\nusername = "a:b"\npassword = "{PASSWORD}"', ["camera.cam01.username"]),
        (f'[camera.cam01]\nusername = ""\npassword = "{PASSWORD}"', ["camera.cam01.username"]),
        (f'[camera.cam01]\nusername = "a"\npassword = "{PASSWORD}\\r\\n"', ["camera.cam01.password"]),
        (f'[camera.cam01]\nusername = "a"\npassword = "{PASSWORD * 50}"', ["camera.cam01.password"]),
        (RIGHT + f'token = "{PASSWORD}"', ["camera.cam01.token"]),
        (f'[camera]\ncam01 = "{PASSWORD}"', ["camera.cam01"]),
        (f'[camera."Cam 1"]\nusername = "x"\npassword = "{PASSWORD}"', ["camera.Cam 1"]),
        (f'camera = "{PASSWORD}"', ["camera"]),
        (f'[cam01]\npassword = "{PASSWORD}"', ["cam01"]),
        (f'[camera.cam01]\npassword = "{PASSWORD}', [""]),
    ],
)
def test_what_is_wrong_is_named_without_showing_anything(tmp_path, content, keys):
    with pytest.raises(ConfigProblems) as caught:
        read_secrets(write(tmp_path, content))
    assert [problem.key for problem in caught.value.problems] == keys
    assert PASSWORD not in repr(caught.value.problems) + str(caught.value)


def test_a_folder_in_the_files_place(tmp_path):
    (tmp_path / "secrets.toml").mkdir(mode=0o700)
    with pytest.raises(ConfigProblems) as caught:
        read_secrets(tmp_path / "secrets.toml")
    assert caught.value.problems[0].code == "CONFIG_UNREADABLE"


def test_a_path_through_a_file(tmp_path):
    file = write(tmp_path, RIGHT)
    with pytest.raises(ConfigProblems) as caught:
        read_secrets(os.path.join(file, "secrets.toml"))
    assert caught.value.problems[0].code == "CONFIG_UNREADABLE"


def test_brokers_of_the_site_have_log_ins_by_their_address(tmp_path):
    file = tmp_path / "secrets.toml"
    text = f'{RIGHT}[broker."10.0.0.5"]\nusername = "pasu"\npassword = "{PASSWORD}"\n'
    file.write_text(text)
    file.chmod(0o600)
    secrets = read_secrets(file)
    login = secrets.broker("10.0.0.5")
    assert login is not None
    assert (login.username, login.password) == ("pasu", PASSWORD)
    assert secrets.broker("10.0.0.6") is None
    assert secrets.login("10.0.0.5") is None
    assert [*secrets.brokers()] == ["10.0.0.5"]
    assert PASSWORD not in repr(secrets)
    file.write_text(RIGHT)
    assert read_secrets(file) != secrets


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (f'[broker."bells.local"]\nusername = "x"\npassword = "{PASSWORD}"', ["broker.bells.local"]),
        (f'[broker."10.0.0.5"]\nusername = "x"\npassword = ["{PASSWORD}"]', ["broker.10.0.0.5.password"]),
        (f'broker = "{PASSWORD}"', ["broker"]),
    ],
)
def test_what_is_wrong_of_a_broker_is_named_without_showing_anything(tmp_path, content, keys):
    file = tmp_path / "secrets.toml"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(ConfigProblems) as caught:
        read_secrets(file)
    assert [problem.key for problem in caught.value.problems] == keys
    assert PASSWORD not in str(caught.value)
