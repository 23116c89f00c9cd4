"""The official clients of OpenAI and Anthropic, on the installed program: their answers, streams and exceptions."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator

import anthropic
import openai
import pytest
from openai import OpenAI

from tests.door.beside_nginx import Engine
from tests.e2e.program import Program
from tests.fake_engine.media import PICTURE, SOUND

KEY, SPENT = "sk-door", "sk-spent"
SAID = "water flows where the gate"
HI = [{"role": "user", "content": "hi"}]


def sha256(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Engine() as engine:
        config = f"""
penstock: 1
breaker: off
limits: {{body: 64KiB}}
models:
  m: {{upstream: "http://127.0.0.1:{engine.port}"}}
  other: {{upstream: "http://127.0.0.1:{engine.port}"}}
  gone: {{upstream: "http://127.0.0.1:9"}}
keys:
  again: {{hash: "{sha256(SPENT + "!")}", quotas: ["1 requests per 1d"]}}
  door: {{hash: "{sha256(KEY)}", models: [m, gone]}}
  spent: {{hash: "{sha256(SPENT)}", quotas: ["1 requests per 1d"]}}
"""
        with Program(tmp_path_factory.mktemp("clients"), config) as program:
            yield program


@pytest.fixture
def client(program: Program) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{program.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(program: Program) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def test_openais_client_chats_and_completes(client: OpenAI) -> None:
    chat = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert chat.choices[0].message.content == SAID
    assert chat.usage is not None
    assert (chat.usage.prompt_tokens, chat.usage.completion_tokens) == (7, 5)
    assert client.completions.create(model="m", prompt="hi").choices[0].text == SAID
    chunks = list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert all(chunk.usage is None for chunk in chunks), "nobody has asked for usage"
    counted = list(
        client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert counted[-1].usage is not None
    assert counted[-1].usage.completion_tokens == 5


def test_openais_client_asks_for_responses(client: OpenAI) -> None:
    whole = client.responses.create(model="m", input="hi")
    assert whole.output_text == SAID
    assert whole.usage is not None
    assert whole.usage.output_tokens == 5
    with client.responses.stream(model="m", input="hi") as stream:
        kinds = [event.type for event in stream]
        assert kinds[-1] == "response.completed"
        assert stream.get_final_response().output_text == SAID


def test_openais_client_embeds_speaks_hears_and_draws(client: OpenAI) -> None:
    vectors = client.embeddings.create(model="m", input=["a"], encoding_format="float")
    assert vectors.data[0].embedding == [0.25, -0.5, 0.125]
    assert client.audio.speech.create(model="m", voice="alloy", input="hi").read() == SOUND
    with client.audio.speech.with_streaming_response.create(model="m", voice="alloy", input="hi") as speech:
        assert b"".join(speech.iter_bytes()) == SOUND
    sound = ("a b.wav", io.BytesIO(SOUND))
    assert client.audio.transcriptions.create(model="m", file=sound).text == SAID
    sound[1].seek(0)
    heard = list(client.audio.transcriptions.create(model="m", file=sound, stream=True))
    assert heard[-1].type == "transcript.text.done"
    pictures = client.images.generate(model="m", prompt="a gate").data
    assert pictures is not None
    assert pictures[0].b64_json == PICTURE
    drawn = list(client.images.generate(model="m", prompt="a gate", stream=True))
    assert [event.type for event in drawn] == ["image_generation.partial_image", "image_generation.completed"]
    edited = client.images.edit(model="m", image=("a.png", base64.b64decode(PICTURE)), prompt="p").data
    assert edited is not None
    assert edited[0].b64_json == PICTURE
    assert {model.id for model in client.models.list()} == {"m", "gone"}


def test_openais_client_raises_what_it_documents(program: Program, client: OpenAI) -> None:
    def chat(by: OpenAI = client, model: str = "m", **rest: object) -> object:
        return by.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hi"}], extra_body=rest or None
        )

    with pytest.raises(openai.NotFoundError) as unknown:
        chat(model="nobody")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id
    with pytest.raises(openai.PermissionDeniedError) as forbidden:
        chat(model="other")
    assert forbidden.value.code == "model_forbidden"
    with pytest.raises(openai.BadRequestError):
        chat(model="")
    with pytest.raises(openai.InternalServerError) as gone:
        chat(model="gone")
    assert (gone.value.status_code, gone.value.code) == (502, "engine_unreachable")
    with pytest.raises(openai.InternalServerError) as died:
        chat(fake={"kind": "nothing", "ending": "close"})
    assert died.value.code == "engine_died"
    with pytest.raises(openai.UnprocessableEntityError):
        chat(fake={"status": 422})
    with pytest.raises(openai.APIStatusError) as large:
        chat(padding="x" * 70_000)
    assert (large.value.status_code, large.value.code) == (413, "request_too_large")
    with OpenAI(base_url=f"{program.url}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as wrong:
            chat(stranger)
        assert wrong.value.code == "invalid_api_key"
    with OpenAI(base_url=f"{program.url}/v1", api_key=SPENT, max_retries=0) as spent:
        chat(spent)
        with pytest.raises(openai.RateLimitError) as quota:
            chat(spent)
        assert quota.value.code == "quota_exceeded"


def test_openais_client_raises_in_a_stream_that_breaks_off(client: OpenAI) -> None:
    fake = {"stop_after": 2, "ending": "close"}
    stream = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True, extra_body={"fake": fake}
    )
    got: list[str | None] = []
    with pytest.raises(openai.APIError, match="closed the connection"):
        got.extend(chunk.choices[0].delta.content for chunk in stream)
    assert got == ["water", " flows"]
    answers = client.responses.create(model="m", input="hi", stream=True, extra_body={"fake": fake})
    with pytest.raises(openai.APIError, match="closed the connection"):
        list(answers)


def test_anthropics_client_gets_messages(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert message.content[0].type == "text"
    assert (message.content[0].text, message.stop_reason) == (SAID, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)
    with claude.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
        assert "".join(stream.text_stream) == SAID
        assert stream.get_final_message().usage.output_tokens == 5
    counted = claude.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
    assert counted.input_tokens == 7


def test_anthropics_client_lists_the_models(claude: anthropic.Anthropic) -> None:
    page = claude.models.list()
    assert [(model.id, model.type, model.display_name) for model in page] == [
        ("gone", "model", "gone"),
        ("m", "model", "m"),
    ]
    assert (page.has_more, page.first_id, page.last_id) == (False, "gone", "m")
    assert claude.models.retrieve("m").created_at.year >= 2025
    with pytest.raises(anthropic.NotFoundError) as unknown:
        claude.models.retrieve("nobody")
    assert unknown.value.type == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        claude.with_options(api_key="wrong").models.list()
    assert refused.value.type == "authentication_error"


def test_anthropics_client_raises_what_it_documents(program: Program, claude: anthropic.Anthropic) -> None:
    def ask(by: anthropic.Anthropic = claude, model: str = "m", **rest: object) -> object:
        return by.messages.create(
            model=model, max_tokens=9, messages=[{"role": "user", "content": "hi"}], extra_body=rest or None
        )

    with pytest.raises(anthropic.NotFoundError) as unknown:
        ask(model="nobody")
    assert isinstance(unknown.value.body, dict)
    assert unknown.value.body["error"]["type"] == "not_found_error"
    assert unknown.value.request_id
    with pytest.raises(anthropic.PermissionDeniedError):
        ask(model="other")
    with pytest.raises(anthropic.InternalServerError):
        ask(fake={"kind": "nothing", "ending": "close"})
    with pytest.raises(anthropic.APIStatusError) as large:
        ask(padding="x" * 70_000)
    assert large.value.status_code == 413
    with (
        anthropic.Anthropic(base_url=program.url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        ask(stranger)
    with anthropic.Anthropic(base_url=program.url, api_key=SPENT + "!", max_retries=0) as spent:
        ask(spent)
        with pytest.raises(anthropic.RateLimitError) as quota:
            ask(spent)
        assert "1 request" in str(quota.value)


def test_anthropics_client_raises_in_a_stream_that_breaks_off(claude: anthropic.Anthropic) -> None:
    fake = {"stop_after": 3, "ending": "close"}
    with claude.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}], extra_body={"fake": fake}
    ) as stream:
        with pytest.raises(anthropic.APIStatusError) as broken:
            list(stream)
        assert "closed the connection" in str(broken.value)
