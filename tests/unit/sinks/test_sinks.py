import json
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from devtools.servers.credentials import Certificates
from warren.sinks.sinks import Sinks

MAIL = "From: a@b.test\r\nTo: {to}\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n"


def mail(port: int, to: str = "ada@b.test") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail("a@b.test", [to], MAIL.format(to=to))


def sms(url: str, key: str = "1", to: str = "+4911", text: str = "Hello") -> int:
    return httpx.post(url, json={"to": to, "text": text}, headers={"Idempotency-Key": key}).status_code


def test_mails_and_messages_are_listed_and_written_to_files(tmp_path: Path) -> None:
    with Sinks(folder=tmp_path / "sinks") as sinks:
        mail(sinks.mail.port)
        assert sms(sinks.sms.url) == 201
        listing = httpx.get(sinks.sms.url).json()
    assert [(each["recipient"], each["subject"], each["text"]) for each in listing["mails"]] == [
        ("ada@b.test", "Grüße", "Hello\n")
    ]
    assert [(each["to"], each["text"], each["key"]) for each in listing["sms"]] == [("+4911", "Hello", "1")]
    assert [json.loads(line) for line in (tmp_path / "sinks/mails.jsonl").read_text().splitlines()] == listing["mails"]
    assert [json.loads(line) for line in (tmp_path / "sinks/sms.jsonl").read_text().splitlines()] == listing["sms"]


def test_configured_recipients_are_refused() -> None:
    with Sinks() as sinks:
        sinks.mail.refuse("no@b.test", 552, times=1)
        for to, code in [("bounce-1@b.test", 550), ("tempfail-1@b.test", 451), ("no@b.test", 552)]:
            with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
                mail(sinks.mail.port, to)
            assert caught.value.recipients[to][0] == code
        mail(sinks.mail.port, "no@b.test")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            mail(sinks.mail.port, "tempfail-1@b.test")
        mail(sinks.mail.port, "tempfail-1@b.test")
        assert [each.recipient for each in sinks.mail.messages] == ["no@b.test", "tempfail-1@b.test"]


def test_with_tls_mail_is_accepted_only_after_starttls(tmp_path: Path) -> None:
    with Sinks(tls=Certificates(tmp_path).server("mail").server_tls()) as sinks:
        with pytest.raises(smtplib.SMTPSenderRefused):
            mail(sinks.mail.port)
        assert not sinks.mail.messages


def test_configured_numbers_are_refused() -> None:
    with Sinks() as sinks:
        statuses = [
            sms(sinks.sms.url, str(number), to) for number, to in enumerate(["+9994001"] * 2 + ["+9995001"] * 3)
        ]
        assert statuses == [400, 400, 500, 500, 201]


def test_an_idempotency_key_identifies_one_message() -> None:
    with Sinks() as sinks:
        assert [sms(sinks.sms.url), sms(sinks.sms.url), sms(sinks.sms.url, text="Other")] == [201, 201, 422]
        assert len(sinks.sms.messages) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"to": 1, "text": "x"}', b"\xff", b'{"to":"1","text":"x","z":1}'])
def test_an_invalid_message_is_refused(body: bytes) -> None:
    with Sinks() as sinks:
        assert httpx.post(sinks.sms.url, content=body).status_code == 400


def test_a_taken_port_is_an_error_and_no_sink_keeps_running() -> None:
    with Sinks() as sinks:
        second = Sinks(sms_port=sinks.sms.port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        with pytest.raises(ConnectionRefusedError):
            mail(second.mail.port)
        with pytest.raises(OSError, match="in use"):
            Sinks(mail_port=sinks.mail.port).start()


def test_the_program_exits_with_0_on_sigterm(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "warren.sinks", "--folder", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with program:
        try:
            assert program.stdout is not None
            fields = dict(part.split("=") for part in program.stdout.readline().split() if "=" in part)
            url = fields["sms_and_listing"]
            mail(int(fields["mail"].rpartition(":")[2]))
            with httpx.Client() as client:
                assert len(client.get(url).json()["mails"]) == 1
                program.send_signal(signal.SIGTERM)  # with a connection open
                assert program.wait(5) == 0
        finally:
            program.kill()


def test_with_tls_text_messages_are_accepted_only_over_https(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with Sinks(tls=certificates.server("sinks").server_tls(), sms_tls=True) as sinks:
        assert sinks.sms.url.startswith("https://127.0.0.1:")
        with socket.create_connection((sinks.sms.host, sinks.sms.port)):  # sends nothing, and delays no other client
            tls = ssl.create_default_context(cafile=certificates.ca_file)
            response = httpx.post(sinks.sms.url, json={"to": "+4915100", "text": "hello"}, verify=tls)
        assert response.status_code == 201
        assert [message.text for message in sinks.sms.messages] == ["hello"]
        with pytest.raises(httpx.HTTPError):
            httpx.get(sinks.sms.url.replace("https", "http"))
