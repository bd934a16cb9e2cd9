"""Writing to an agent: POST /v1/agents/{id}/chat."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from pydantic import AfterValidator, Field

from chorus import errors
from chorus.accounts.secrets import SecretsUnreadable
from chorus.agents import queries
from chorus.agents.schemas import AgentPatch
from chorus.agents.snapshot import draft
from chorus.billing import balance
from chorus.calls.chat_stream import ChatResponse
from chorus.calls.switchboard import Switchboard
from chorus.catalogue.engines import NoEngine
from chorus.llm.model import Echo, Message, ToolCall
from chorus.route import InOrganization, InProcess, InSession, failures, streaming_router
from chorus.speech.engines import EngineFailed
from chorus.talk.chat import Chat
from chorus.wire import SERVER_SENT_EVENT, In, OneLine, Text, Variables

chat_routes = streaming_router("Agents")

_CONTENT = 32_000


class VendorData(In):
    """What a vendor wants back with its tool call; send it as it came."""

    vendor: Annotated[OneLine, Field(max_length=100)]
    call: dict[str, Any] = {}
    message: dict[str, Any] = {}


class ChatToolCall(In):
    """A tool that the model called."""

    id: Annotated[OneLine, Field(min_length=1, max_length=200)]
    name: Annotated[OneLine, Field(min_length=1, max_length=255)]
    arguments: Annotated[Text, Field(max_length=_CONTENT)] = ""
    vendor_data: VendorData | None = None


class ChatMessage(In):
    """One message of the history; `toolCalls` of an assistant's, `toolCallId` of a tool's."""

    role: Literal["user", "assistant", "tool"]
    content: Annotated[Text, Field(max_length=_CONTENT)] = ""
    tool_calls: Annotated[list[ChatToolCall], Field(max_length=50)] = []
    tool_call_id: Annotated[OneLine, Field(min_length=1, max_length=200)] | None = None


def _in_order(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Vendors refuse a history in which a call has no result, or a result no call."""
    open_calls: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                raise ValueError("must hold the results of tool calls right behind those calls")
            open_calls.remove(message.tool_call_id)
            continue
        if open_calls:
            raise ValueError("must hold a result for each tool call")
        if message.role == "user" and not message.content.strip():
            raise ValueError("must hold no blank message of a user")
        if message.role == "assistant":
            open_calls = {call.id for call in message.tool_calls}
    if open_calls:
        raise ValueError("must hold a result for each tool call")
    if messages and messages[-1].role == "assistant":
        raise ValueError("must end with a message of the user")
    return messages


class ChatRequest(In):
    """The whole history: nothing is kept. Without messages the agent opens as in a call."""

    messages: Annotated[list[ChatMessage], Field(max_length=400), AfterValidator(_in_order)]
    context_variables: Variables = {}
    agent: Annotated[
        AgentPatch | None,
        Field(description="Changes to the agent that count for this answer and are not saved."),
    ] = None


_EXAMPLE = (
    'event: tool_call\ndata: {"id":"c1","name":"find_appointment","arguments":"{}",'
    '"hasEffects":false}\n\n'
    'event: tool_result\ndata: {"id":"c1","name":"find_appointment","ok":true,"status":200,'
    '"elapsedMs":41,"result":"{}"}\n\n'
    'event: text\ndata: {"delta":"Friday at nine."}\n\n'
    'event: done\ndata: {"messages":[],"endsCall":false,"model":"openai/gpt-4.1-mini",'
    '"firstTextMs":612,"totalMs":790,"inputTokens":310,"outputTokens":9}\n\n'
)
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer as server-sent events",
        "content": {"text/event-stream": {"schema": SERVER_SENT_EVENT, "example": _EXAMPLE}},
    }
}


@chat_routes.post(
    "/agents/{id}/chat",
    operation_id="chatWithAgent",
    summary="Write to an agent",
    response_class=Response,
    responses={**_STREAMED, **failures(402, 404, 409, 503)},
)
async def chat_with_agent(
    request: Request,
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: ChatRequest,
) -> Response:
    """The answer to the last message, as server-sent events, with the agent's own prompt, model
    and tools: these are really called. An Idempotency-Key is refused, since an answer that is
    streamed is not kept."""
    agent = await queries.one(session, organization_id, id)
    switchboard: Switchboard = request.app.state.switchboard
    if process.settings.billing:
        standing = await balance.standing(session, organization_id)
        if standing.available <= 0:
            raise errors.Error(402, "insufficient_funds", "The balance does not suffice")
    try:
        taken = await draft(session, process, agent, wish.agent.changes() if wish.agent else {})
        models = switchboard.engines.thinking(taken.choice)
    except (NoEngine, EngineFailed) as failure:
        raise errors.unavailable(str(failure)) from None
    except SecretsUnreadable as failure:
        raise errors.conflict("secrets_unreadable", str(failure)) from None
    knowledge = await switchboard.library.open(
        session,
        organization_id,
        taken.spec.knowledge_base_ids,
        taken.spec.knowledge_instructions,
    )
    chat = Chat(taken.spec, models, switchboard.outbound, wish.context_variables, knowledge)
    messages = tuple(_message(message) for message in wish.messages)
    return ChatResponse(switchboard.chats, organization_id, chat.answer(messages))


def _message(message: ChatMessage) -> Message:
    return Message(
        message.role,
        message.content,
        tool_calls=tuple(_call(call) for call in message.tool_calls),
        tool_call_id=message.tool_call_id or "",
    )


def _call(call: ChatToolCall) -> ToolCall:
    data = call.vendor_data
    echo = Echo(data.vendor, data.call, data.message) if data else None
    return ToolCall(call.id, call.name, call.arguments, echo)
