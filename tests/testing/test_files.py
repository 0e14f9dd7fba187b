"""Files of the fake API: uploads, lists and expiry as OpenAI documents them."""

import json
from collections import Counter

import openai
import pytest

from batchfsm.testing import FakeBatchAPI, Request, VirtualClock
from batchfsm.testing.request_checks import EXPIRY_S_RANGE, PURPOSES
from support.embeddings import CREATE, lines
from support.fake_api import KEY, ask
from support.notation import CREATED

DAY_S = 86_400
PLAN = "validating 0s > in_progress 1h > finalizing 0s > completed"


@pytest.fixture
def api():
    """Return an API at a fixed time."""
    return FakeBatchAPI(PLAN, clock=VirtualClock(CREATED))


@pytest.fixture
def client(api):
    """Return a client of the API; close it afterwards."""
    with api.client() as opened:
        yield opened


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_purpose_of_openais_is_kept(client, purpose):
    """Each purpose of OpenAI's enum is accepted."""
    assert purpose == client.files.create(file=b"x", purpose=purpose).purpose


def test_another_purpose_is_refused(client):
    """The message lists the known purposes."""
    with pytest.raises(openai.BadRequestError, match=r"'nonsense' is not one of \['assistants', 'batch',"):
        client.files.create(file=b"x", purpose="nonsense")


@pytest.mark.parametrize(
    "purpose, expires_after, expected",
    [
        ("batch", None, 30 * DAY_S),
        ("assistants", None, None),
        ("batch", 3600, 3600),
        ("user_data", 30 * DAY_S, 30 * DAY_S),
    ],
)
def test_a_file_expires(api, client, purpose, expires_after, expected):
    """It expires after the time in the request; a file with purpose batch expires after 30 days by default."""
    options = {} if expires_after is None else {"expires_after": {"anchor": "created_at", "seconds": expires_after}}
    file = client.files.create(file=b"x", purpose=purpose, **options)
    api.clock.advance((expected or 10**9) - 1)
    before = client.files.retrieve(file.id).id, [each.id for each in client.files.list()]
    api.clock.advance(1)

    assert (file.id, [file.id]) == before
    assert expected == (file.expires_at and file.expires_at - file.created_at)
    assert ([] if expected else [file.id]) == [each.id for each in client.files.list()]
    assert (404 if expected else 200) == ask(api, "GET", f"files/{file.id}")[0]


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"expires_after[anchor]": "now", "expires_after[seconds]": "3600"}, "expires_after.anchor"),
        ({"expires_after[seconds]": "3600"}, "expires_after.anchor"),
        ({"expires_after[anchor]": "created_at"}, "expires_after.seconds"),
    ]
    + [
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": seconds}, "expires_after.seconds")
        for seconds in ("", "x", "-1", "²", str(EXPIRY_S_RANGE[0] - 1), str(EXPIRY_S_RANGE[1] + 1), "9" * 5000)
    ],
)
def test_an_expiry_out_of_range_is_refused(api, fields, param):
    """The range is from one hour to thirty days after creation."""
    parts = {"purpose": "batch", "file": "x"} | fields
    body = "".join(
        f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts.items()
    )
    headers = KEY | {"content-type": "multipart/form-data; boundary=cut"}
    request = Request(method="POST", path="/v1/files", headers=headers, body=f"{body}--cut--\r\n".encode())
    answer = api.handle(request)

    assert (400, param) == (answer.status, answer.json["error"]["param"])
    assert [] == ask(api, "GET", "files")[1]["data"]


@pytest.mark.parametrize("seconds", [None, 3600, 30 * DAY_S])
def test_the_files_of_a_batch_expire_after_their_own_creation(api, client, seconds):
    """The time counts from the creation of the file, not of the batch; the default is 30 days."""
    uploaded = client.files.create(file=lines("one"), purpose="batch")
    options = {} if seconds is None else {"output_expires_after": {"anchor": "created_at", "seconds": seconds}}
    batch = client.batches.create(input_file_id=uploaded.id, **CREATE, **options)
    api.clock.advance("1h")
    output = client.files.retrieve(client.batches.retrieve(batch.id).output_file_id)
    api.clock.advance(output.expires_at - output.created_at)

    assert CREATED + 3600 == output.created_at
    assert output.created_at + (seconds or 30 * DAY_S) == output.expires_at
    assert output.id == client.batches.retrieve(batch.id).output_file_id  # The batch keeps the id of the expired file.
    with pytest.raises(openai.NotFoundError):
        client.files.content(output.id)


def test_an_input_file_that_has_expired_fails_the_batch(api, client):
    """The batch fails as with a file that never existed."""
    uploaded = client.files.create(file=lines("one"), purpose="batch")
    api.clock.advance("30d")
    batch = client.batches.create(input_file_id=uploaded.id, **CREATE)

    assert ["invalid_request"] == [error.code for error in client.batches.retrieve(batch.id).errors.data]


def test_files_are_listed_by_purpose_and_in_order(api, client):
    """The newest file is first, unless the request has another order."""
    made = []
    for purpose in ("batch", "assistants", "batch"):
        made.append(client.files.create(file=b"x", purpose=purpose).id)
        api.clock.advance(1)

    assert made[::-1] == [file.id for file in client.files.list()]
    assert made == [file.id for file in client.files.list(order="asc")]
    assert [made[0], made[2]] == [file.id for file in client.files.list(order="asc", purpose="batch", limit=1)]
    assert [] == client.files.list(purpose="vision").data
    assert made[:1] == [file.id for file in client.files.list(purpose="batch", after=made[1])]


def test_a_page_of_files_has_ten_thousand(api):
    """Ten thousand is the default and the maximum."""
    for _ in range(10_001):
        api.add_file(b"")
    first = ask(api, "GET", "files")[1]
    second = ask(api, "GET", "files", after=first["last_id"], limit="10000")[1]

    assert ((10_000, True), (1, False)) == tuple((len(page["data"]), page["has_more"]) for page in (first, second))
    assert {1} == set(Counter(file["id"] for file in first["data"] + second["data"]).values())


@pytest.mark.parametrize(
    "query, param", [({"limit": "10001"}, "limit"), ({"limit": "0"}, "limit"), ({"order": "up"}, "order")]
)
def test_a_list_of_files_out_of_range_is_refused(api, query, param):
    """The error names the parameter."""
    status, answer = ask(api, "GET", "files", **query)

    assert (400, param) == (status, answer["error"]["param"])


@pytest.mark.parametrize("name", ["ünï.jsonl", "日本.jsonl", "🙂.jsonl", 'a"b;c.jsonl', "a b.jsonl", "plain.jsonl"])
def test_a_file_keeps_its_name_in_any_script(client, name):
    """Clients write the name in UTF-8."""
    written = name.replace('"', "%22")  # Browsers and httpx escape a quote in this way.

    assert client.files.create(file=(name, b"x"), purpose="batch").filename in (name, written)


def test_a_test_adds_a_file_without_a_request(api, client):
    """The test may choose the id."""
    first, second = api.add_file(lines("one")), api.add_file(b"x", filename="a.txt", purpose="evals", file_id="file-1")
    api.add_file(b"y", file_id="file-1")
    client.files.delete("file-1")
    api.add_file(b"z", file_id="file-1")

    assert ("file-1", b"z") == (second, client.files.content("file-1").content)
    assert ("input.jsonl", "batch") == (client.files.retrieve(first).filename, client.files.retrieve(first).purpose)
    assert () == api.calls[:0]
    batch = client.batches.create(input_file_id=first, **CREATE)
    api.clock.advance("1h")
    assert "one" == json.loads(client.files.content(client.batches.retrieve(batch.id).output_file_id).text)["custom_id"]
