"""What clients send and get: OpenAI's shapes, and the few fields that are our own.

A field that is not known is refused, as OpenAI does, and so is one that this server does not do anything with, unless
it asks for nothing: what is ignored in silence is believed to work.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from selfedit.serve.settings import Limits

_LIMITS = Limits()
_INT64 = 2**63 - 1


def _encodable(text: str) -> str:
    """JSON can name half a character, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("the text has half of a surrogate pair") from error
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Zero = Annotated[float, Field(ge=0, le=0)]
Nothing = Annotated[list[Any] | dict[str, Any], Field(max_length=0)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StreamOptions(_Asked):
    """What a stream is to tell beside the text."""

    include_usage: bool = False


class TextPart(_Asked):
    """A part of a message; only text is understood."""

    type: Literal["text"]
    text: Text


class ChatMessage(_Asked):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]
    name: str | None = None

    @property
    def turn(self) -> tuple[str, str]:
        """Role and text."""
        role = "system" if self.role == "developer" else self.role
        return role, self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class _Sampled(_Asked):
    """What both kinds of requests may say."""

    model: Annotated[Text, Field(max_length=200)]
    max_tokens: Annotated[int | None, Field(ge=1, le=_INT64)] = None
    temperature: Annotated[
        float | None, Field(ge=0, le=2, description="0, the default, gives the likeliest answer.")
    ] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    n: Annotated[int | None, Field(ge=1, le=_LIMITS.choices)] = None
    stop: (
        Annotated[Text, Field(min_length=1)]
        | Annotated[list[Annotated[Text, Field(min_length=1)]], Field(max_length=4)]
        | None
    ) = None
    seed: Annotated[int | None, Field(ge=-_INT64, le=_INT64)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    presence_penalty: Zero | None = None
    frequency_penalty: Zero | None = None
    logit_bias: Nothing | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """All stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatRequest(_Sampled):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_LIMITS.messages)]
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=_INT64)] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=_LIMITS.top_logprobs)] = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    tools: Nothing | None = None
    tool_choice: Literal["none"] | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    topic: Annotated[
        Text, Field(description="Ours: the title of a document or passage that the question is about.", max_length=500)
    ] = ""

    @property
    def report(self) -> int | None:
        """How many alternatives are to be told a token; None for no log-probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None


Token = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""No tokenizer has more; larger numbers are none that it can look up."""


class TextRequest(_Sampled):
    """The body of /v1/completions."""

    prompt: Text | Annotated[list[Text], Field(max_length=_LIMITS.choices)] | list[Token] | list[list[Token]]
    logprobs: Annotated[int | None, Field(ge=0, le=_LIMITS.top_logprobs)] = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: Literal[1] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """One or several, each a text or tokens."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)  # type: ignore[arg-type]

    @property
    def report(self) -> int | None:
        """How many alternatives are to be told a token; None for no log-probabilities at all."""
        return self.logprobs


class Answerer(BaseModel):
    """Ours, in every answer: who gave it.

    Attributes:
        version: an id, or "base".
        hash: of its weights.
        sources: of each choice, the title of the passage whose adapter answered; none where one model answers all.
    """

    version: str
    hash: str
    sources: list[str | None] = []


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    """What was answered."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """One of n answers."""

    index: int
    message: AnswerMessage
    logprobs: dict[str, Any] | None = None
    finish_reason: Literal["stop", "length"]


class ChatAnswer(BaseModel):
    """The answer of /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    selfedit: Answerer


class TextChoice(BaseModel):
    """One of n completions."""

    index: int
    text: str
    logprobs: dict[str, Any] | None = None
    finish_reason: Literal["stop", "length"]


class TextAnswer(BaseModel):
    """The answer of /v1/completions."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage
    selfedit: Answerer


class ModelCard(BaseModel):
    """A name that a request may give."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["selfedit"] = "selfedit"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """What is sent in place of an answer."""

    error: ErrorDetail


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "failed"]
    model: str
    active: str
    read_only: bool
    rows_live: int
    rows_waiting: int
