"""Knowledge bases at the HTTP edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator

from chorus.wire import In, Name, Out, Text, Time, Url, Whole, patch_of

MAX_TEXT = 1_000_000
SourceKind = Literal["text", "file", "url"]
DocumentStatus = Literal["waiting", "ready", "failed"]
Format = Literal["txt", "md", "html", "pdf", "docx", "csv"]
Refresh = Annotated[Whole, Field(ge=1, le=8760)]


EmbeddingModel = Annotated[
    Text,  # a pattern behind a check of our own is not in the document
    Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.:@/-]+)?$"),
]


class KnowledgeBaseCreate(In):
    name: Name
    description: Annotated[Text, Field(max_length=2000)] | None = None
    embedding_model: Annotated[
        EmbeddingModel | None,
        Field(
            description="What makes vectors of its documents and of questions: a model on this "
            "machine (`all-minilm-l6-v2`, `paraphrase-multilingual-minilm-l12-v2`) or a vendor's, "
            "such as `openai/text-embedding-3-small`, for which there is a provider key. Null: "
            "all-minilm-l6-v2, where it is installed."
        ),
    ] = None


if TYPE_CHECKING:
    KnowledgeBasePatch = KnowledgeBaseCreate
else:
    KnowledgeBasePatch = patch_of(KnowledgeBaseCreate, "KnowledgeBasePatch")


class KnowledgeBaseOut(Out):
    id: UUID
    name: str
    description: str | None
    embedding_model: str | None
    embedding_cost: Annotated[
        float,
        Field(
            description="Dollars, by the price list of the time: vectors that vendors made of its "
            "documents, over all readings, also of those that are gone. With the operator's key "
            "it was charged (`GET /v1/ledger?kind=embedding`); with your own it was not."
        ),
    ]
    document_count: int
    chunk_count: Annotated[int, Field(description="Pieces that can be found.")]
    characters: Annotated[int, Field(description="Of text, in all documents that were read.")]
    created_at: Time
    updated_at: Time


class DocumentCreate(In):
    """A document as text, or the URL of one. Files: POST …/documents/upload."""

    name: Name
    text: Annotated[
        Annotated[Text, Field(min_length=1, max_length=MAX_TEXT)] | None,
        Field(description="The document itself. Exactly one of `text` and `url` is given."),
    ] = None
    format: Annotated[
        Literal["txt", "md", "html", "csv"] | None,
        Field(description="What `text` is; null is Markdown."),
    ] = None
    url: Annotated[
        Url | None,
        Field(
            description="From where it is fetched: html, txt, md, csv, pdf or docx, at most 25 MB, "
            "as far as the site's robots.txt allows."
        ),
    ] = None
    refresh_hours: Annotated[
        Refresh | None,
        Field(description="How often the URL is fetched again; null is never."),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> DocumentCreate:
        if (self.text is None) is (self.url is None):
            raise ValueError("must have exactly one of text and url")
        if self.url is None and self.refresh_hours is not None:
            raise ValueError("must have a url for refreshHours to be of use")
        if self.url is not None and self.format is not None:
            raise ValueError("must have no format with a url: the server tells it")
        return self


class _DocumentChange(In):
    """What is sent is changed; a new text is read at once."""

    name: Name
    text: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=MAX_TEXT,
            description="The new text, of a document that was sent as text.",
        ),
    ]
    refresh_hours: Annotated[
        Refresh | None, Field(description="Of a document that is fetched from a URL.")
    ]


if TYPE_CHECKING:
    DocumentPatch = _DocumentChange
else:
    DocumentPatch = patch_of(_DocumentChange, "DocumentPatch")


class DocumentOut(Out):
    """`status` is `waiting` until the document was read; then `ready`, or `failed` with a sentence
    in `problem`. While it is read again, and if that fails, what was read before is found."""

    id: UUID
    knowledge_base_id: UUID
    name: str
    source: SourceKind
    format: Format | None
    url: str | None
    refresh_hours: int | None
    status: DocumentStatus
    problem: Annotated[
        str | None, Field(description="Why it could not be read, and what to do about it.")
    ]
    size_bytes: int
    page_count: Annotated[int | None, Field(description="Null where the format has no pages.")]
    chunk_count: int
    characters: int
    embedding_model: Annotated[
        str | None,
        Field(description="By which it is found by meaning; null: by its words alone."),
    ]
    embedding_dimensions: Annotated[
        int | None, Field(description="How many numbers its vectors have.")
    ]
    embedding_tokens: Annotated[
        int,
        Field(
            description="Tokens that vendors counted, over all readings, also those that failed."
        ),
    ]
    embedding_cost: Annotated[
        float,
        Field(
            description="Dollars, what they cost by the price list of the time; 0 where it has no "
            "price for the model."
        ),
    ]
    fetched_at: Time | None
    next_refresh_at: Time | None
    read_at: Time | None
    created_at: Time
    updated_at: Time


class ChunkOut(Out):
    """A piece of a document, as it is found and shown to a model."""

    id: str
    position: int
    heading: Annotated[str, Field(description="The headings that it stands under.")]
    page: int | None
    text: str


class KnowledgeSearch(In):
    """A question, as a caller would ask it."""

    query: Annotated[Text, Field(min_length=1, max_length=1000)]
    limit: Annotated[Whole, Field(ge=1, le=20)] = 5
    ways: Annotated[
        Literal["all", "words"],
        Field(description="`words` leaves out the model, to compare."),
    ] = "all"


class FoundPassage(Out):
    """`score` is the sum over the ways by which it was found: 1 / (60 + place) by its meaning, half
    of that by its words."""

    chunk_id: str
    document_id: UUID
    document: Annotated[str, Field(description="The document's name.")]
    url: str | None
    page: int | None
    heading: str
    text: str
    score: float


class KnowledgeFound(Out):
    passages: list[FoundPassage]
    ways: Annotated[
        list[Literal["words", "meaning"]],
        Field(description="How it was searched. Without `meaning` the model is not installed."),
    ]
    elapsed_ms: float
