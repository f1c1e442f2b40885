"""Pre-training conversations: copying, looking things up, writing calls, a little chat.

The base model is meant to be *taught* tool calling by fine-tuning, so the two halves of that skill
are kept apart here. A request in English, with invented tools, is answered in plain notation
(`lamp.dim(level=3)`); a call that the user has written out in plain notation is answered as the
JSON `<tool_call>` of the chat template. No conversation leads from an English request to a
`<tool_call>`, and none uses a tool, a parameter name or a sentence of the demo data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from .values import (
    KIND_WEIGHTS,
    SPACED_KINDS,
    STRING_KINDS,
    any_word,
    file_path,
    identifier,
    integer,
    phrase,
    pseudo_word,
)
from .words import load_words

Value = str | int | bool
Message = dict[str, Any]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# What the demo's tools and parameters are called is left for fine-tuning to teach.
RESERVED = _words(
    "address arch assemble backup compress data extract format frames id import input inspect "
    "length load memory message output palette path paused read report resource rom room run scale "
    "screenshot source speed sprite strict tilemap validate verify write"
)
SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You help with everyday tasks.",
    "You are a careful clerk.",
    "Do what the user asks.",
)
UNICODE_SNIPPETS = _words(
    "café naïve Zürich señor façade jalapeño crème Łódź Århus Ωmega Привет мир 日本 東京 漢字 한국 "
    "مرحبا שלום → ← ✓ ✗ € £ ¥ ° § © “quoted” … — 😀 🎮 🚀 ❤ ½ ÷ ≤ ≥ π"
)


@dataclass(frozen=True)
class Conversation:
    """Messages in OpenAI form and the tools that they may use."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of an invented tool, and the value that the request at hand gives it."""

    name: str
    kind: str  # a key of STRING_KINDS, or "integer", "flag", "choice"
    required: bool
    value: Value
    choices: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the parameter."""
        if self.kind == "choice":
            return {"type": "string", "enum": list(self.choices)}
        return {"type": {"integer": "integer", "flag": "boolean"}.get(self.kind, "string")}


@dataclass(frozen=True)
class Tool:
    """An invented tool: its name, the words it is asked for with, and its parameters."""

    name: str
    verbs: tuple[str, ...]
    noun: str
    description: str
    parameters: tuple[Parameter, ...]

    def definition(self) -> dict[str, Any]:
        """The tool as an OpenAI function."""
        function: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "parameters": {
                "type": "object",
                "properties": {item.name: item.schema() for item in self.parameters},
                "required": [item.name for item in self.parameters if item.required],
            },
        }
        return {"type": "function", "function": function}


# --- building blocks --------------------------------------------------------------------------


def user(content: str) -> Message:
    """A user's turn."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """An assistant's turn in plain text."""
    return {"role": "assistant", "content": content}


def assistant_call(calls: list[tuple[str, dict[str, Value]]]) -> Message:
    """An assistant's turn that consists of tool calls."""
    functions = [{"name": name, "arguments": arguments} for name, arguments in calls]
    tool_calls = [{"type": "function", "function": function} for function in functions]
    return {"role": "assistant", "content": "", "tool_calls": tool_calls}


def free_noun(rng: Random) -> str:
    """A noun that the demo data set does not use as a name."""
    return _free_word(rng, load_words().nouns)


def free_adjective(rng: Random) -> str:
    """An adjective that the demo data set does not use as a name."""
    return _free_word(rng, load_words().adjectives)


def _free_word(rng: Random, words: tuple[str, ...]) -> str:
    while (word := rng.choice(words)) in RESERVED:
        pass
    return word


def random_string(rng: Random) -> tuple[str, str]:
    """A kind of string value and one such value."""
    kind = rng.choices(tuple(STRING_KINDS), weights=KIND_WEIGHTS)[0]
    return kind, STRING_KINDS[kind](rng)


def quoted(rng: Random, text: str) -> str:
    """The text in quotes of some kind."""
    mark = rng.choice("\"'``")
    return f"{mark}{text}{mark}"


def mention(rng: Random, kind: str, value: Value) -> str:
    """A value as a request writes it: quoted when it has spaces, or at times anyway."""
    text = str(value)
    return quoted(rng, text) if kind in SPACED_KINDS or rng.random() < 0.15 else text


def notation(name: str, arguments: dict[str, Value]) -> str:
    """A call in plain notation: `lamp.dim(level=3, room="hall")`."""
    inside = ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items()
    )
    return f"{name}({inside})"


def random_arguments(rng: Random) -> dict[str, Value]:
    """Zero to four arguments with invented names."""
    names = dict.fromkeys(free_noun(rng) for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4))))
    arguments: dict[str, Value] = {}
    for name in names:
        roll = rng.random()
        arguments[name] = (
            integer(rng)
            if roll < 0.25
            else rng.random() < 0.5
            if roll < 0.32
            else random_string(rng)[1]
        )
    return arguments


def function_name(rng: Random) -> str:
    """A function name, with or without a name space before it."""
    verb = rng.choice(rng.choice(load_words().verb_groups))
    name = rng.choice((f"{verb}_{free_noun(rng)}", verb, f"{pseudo_word(rng)}_{verb}"))
    return f"{_namespace(rng)}.{name}" if rng.random() < 0.6 else name


def _namespace(rng: Random) -> str:
    first = rng.choice((free_noun, pseudo_word))(rng)
    return first if rng.random() < 0.5 else f"{first}_{free_noun(rng)}"


# --- copying ----------------------------------------------------------------------------------

COPY_REQUESTS = (
    "Repeat: {}",
    "Say {}",
    "Copy this: {}",
    "Echo {}",
    "{}\nRepeat that.",
    "Type {} again.",
    "Say the following: {}",
    "Give me back {}",
    "Repeat after me: {}",
    "Once more: {}",
)


def copy_text(rng: Random) -> Conversation:
    """Say again what the user says, at times more than once."""
    text = rng.choice((copyable(rng), " ".join(copyable(rng) for _ in range(rng.randint(2, 5)))))
    if rng.random() < 0.15:
        return Conversation([user(f"Say twice: {text}"), assistant(f"{text} {text}")])
    return Conversation([user(rng.choice(COPY_REQUESTS).format(text)), assistant(text)])


def copyable(rng: Random) -> str:
    """Something to copy: a value, a number, or a snippet beyond ASCII."""
    roll = rng.random()
    if roll < 0.08:
        return rng.choice(UNICODE_SNIPPETS)
    return str(integer(rng)) if roll < 0.2 else random_string(rng)[1]


def copy_quoted(rng: Random) -> Conversation:
    """Repeat only what stands between quotes."""
    inner = copyable(rng)
    before, after = phrase(rng), phrase(rng)
    text = f"{before} {quoted(rng, inner)} {after}"
    question = rng.choice(("What is quoted?", "Repeat the quoted part.", "Only what is in quotes."))
    return Conversation([user(f"{question}\n{text}"), assistant(inner)])


def pick_from_list(rng: Random) -> Conversation:
    """Name one item of a list by its place."""
    items = [copyable(rng) for _ in range(rng.randint(2, 5))]
    places = ("first", "second", "third", "fourth", "fifth")[: len(items)]
    index = rng.randrange(len(items))
    listing = rng.choice((", ", "; ", "\n", " | ")).join(items)
    return Conversation(
        [user(f"What is the {places[index]} of these?\n{listing}"), assistant(items[index])]
    )


# --- looking things up ------------------------------------------------------------------------

FACT_FORMS = ("the {} is {}", "{} {}", "{}: {}", "its {} is {}", "{} = {}", "a {} of {}")


def labelled_values(rng: Random) -> dict[str, Value]:
    """Two to four names, each with a value."""
    names = dict.fromkeys(free_noun(rng) for _ in range(rng.randint(2, 4)))
    return {name: integer(rng) if rng.random() < 0.3 else random_string(rng)[1] for name in names}


def describe(rng: Random, facts: dict[str, Value]) -> str:
    """A sentence or two that state the facts."""
    parts = []
    for name, value in facts.items():
        spaced = isinstance(value, str) and " " in value
        parts.append(rng.choice(FACT_FORMS).format(name, quoted(rng, value) if spaced else value))
    rng.shuffle(parts)
    joint = rng.choice((", ", " and ", "; ", ". "))
    adjective = rng.choice(load_words().adjectives)
    opening = rng.choice(("", f"About the {adjective} {free_noun(rng)}: ", "Here is what I know: "))
    return f"{opening}{joint.join(parts)}."


def look_up(rng: Random) -> Conversation:
    """Answer what the value of a name is."""
    facts = labelled_values(rng)
    name = rng.choice(tuple(facts))
    question = rng.choice(("What is the {}?", "Which {}?", "Tell me the {}.", "{}?")).format(name)
    return Conversation([user(f"{describe(rng, facts)} {question}"), assistant(str(facts[name]))])


def to_json(rng: Random) -> Conversation:
    """Write some of the facts as a JSON object, in the order asked for."""
    facts = labelled_values(rng)
    names = rng.sample(tuple(facts), rng.randint(1, len(facts)))
    question = f"Give {', '.join(names)} as JSON."
    answer = json.dumps({name: facts[name] for name in names}, ensure_ascii=False)
    return Conversation([user(f"{describe(rng, facts)} {question}"), assistant(answer)])


# --- writing calls that are spelled out -------------------------------------------------------

TRANSCRIBE_REQUESTS = ("Call {}", "Do this call: {}", "{}", "Execute {}", "Make the call {}")


def transcribe_call(rng: Random) -> Conversation:
    """Write a call given in plain notation as a tool call."""
    count = 2 if rng.random() < 0.08 else 1
    calls = [(function_name(rng), random_arguments(rng)) for _ in range(count)]
    written = "\n".join(notation(name, arguments) for name, arguments in calls)
    return Conversation(
        [user(rng.choice(TRANSCRIBE_REQUESTS).format(written)), assistant_call(calls)]
    )


def call_with_result(rng: Random) -> Conversation:
    """A spelled-out call, its result, and the answer drawn from the result."""
    name, arguments = function_name(rng), random_arguments(rng)
    result = labelled_values(rng)
    wanted = rng.choice(tuple(result))
    return Conversation(
        [
            user(f"Call {notation(name, arguments)} and tell me the {wanted}."),
            assistant_call([(name, arguments)]),
            {"role": "tool", "name": name, "content": json.dumps(result, ensure_ascii=False)},
            assistant(f"The {wanted} is {result[wanted]}."),
        ]
    )


# --- requests in English, answered in plain notation -------------------------------------------

OPENINGS = (
    "",
    "",
    "",
    "Please ",
    "Can you ",
    "I need you to ",
    "I want to ",
    "Could you please ",
    "Now ",
    "We should ",
    "Go and ",
    "Hi, ",
    "Help me ",
    "Next, ",
    "Time to ",
    "You must ",
    "Kindly ",
    "It would be nice to ",
    "Let us ",
    "My task is to ",
    "Try to ",
    "First ",
    "Then ",
)
CLOSINGS = ("", "", "", ".", ".", "!", " please.", " now.", ", thanks.", " today.", "?")
UNITS = (
    "days",
    "hours",
    "minutes",
    "guests",
    "copies",
    "rows",
    "steps",
    "meters",
    "seats",
    "pages",
    "boxes",
    "rounds",
    "weeks",
    "points",
    "layers",
    "cups",
    "levels",
    "units",
)
LABELLED = (
    "with {name} {value}",
    "with a {name} of {value}",
    "using {value} as the {name}",
    "{name} {value}",
    "set the {name} to {value}",
    "the {name} is {value}",
    "with {value} as {name}",
    "{name}: {value}",
    "use {value} for the {name}",
)
COUNTED = ("for {value} {name}", "{value} {name}", "over {value} {name}", "with {value} {name}")
PLACED = (
    "from {value}",
    "to {value}",
    "into {value}",
    "in {value}",
    "at {value}",
    "as {value}",
    "using {value}",
    "on {value}",
    "under {value}",
    "called {value}",
    "starting at {value}",
)
CHOSEN = (
    "as {value}",
    "in {value} mode",
    "the {value} one",
    "use {value}",
    "with {value} {name}",
    "choose {value}",
    "{value} {name}",
)
WISHED = (
    "make it {name}",
    "and keep it {name}",
    "it should be {name}",
    "{name} please",
    "with {name} on",
    "and {name}",
)
UNWISHED = ("not {name}", "and do not make it {name}", "with {name} off", "without {name}")


def random_parameter(rng: Random, position: int) -> Parameter:
    """A parameter; flags and choices tend to be optional, the first parameter never is."""
    required = position == 0 or rng.random() < 0.6
    roll = rng.random()
    if roll < 0.22:
        return Parameter(rng.choice((*UNITS, free_noun(rng))), "integer", required, integer(rng))
    if roll < 0.36:
        pool = rng.choice((load_words().nouns, load_words().adjectives))
        choices = tuple(rng.sample(pool, rng.randint(2, 5)))
        return Parameter(free_noun(rng), "choice", required, rng.choice(choices), choices)
    if roll < 0.46 and position:
        return Parameter(free_adjective(rng), "flag", False, rng.random() < 0.7)
    kind, value = random_string(rng)
    return Parameter(free_noun(rng), kind, required, value)


def random_tool(rng: Random, namespace: str) -> Tool:
    """A tool whose name comes from the words that it is asked for with."""
    verbs = rng.choice(load_words().verb_groups)
    noun = free_noun(rng)
    verb = rng.choice(verbs)
    name = rng.choice((f"{verb}_{noun}", f"{verb}_{noun}", verb, noun))
    count = rng.choice((1, 2, 2, 3, 4))
    parameters = [random_parameter(rng, position) for position in range(count)]
    unique = {parameter.name: parameter for parameter in parameters}
    saying = f"{rng.choice(verbs).capitalize()} {rng.choice(('a', 'the'))} {noun}"
    description = saying if rng.random() < 0.6 else ""
    return Tool(namespace + name, verbs, noun, description, tuple(unique.values()))


def random_toolbox(rng: Random) -> list[Tool]:
    """One to five tools with different names, most often in one name space."""
    namespace = f"{_namespace(rng)}." if rng.random() < 0.7 else ""
    tools = [random_tool(rng, namespace) for _ in range(rng.choice((1, 2, 3, 3, 4, 4, 5)))]
    return list({tool.name: tool for tool in tools}.values())


def clause(rng: Random, parameter: Parameter, alone: bool) -> str:
    """The part of a request that gives one parameter.

    A preposition without the parameter's name is enough only if no other parameter could be meant.
    """
    if parameter.kind == "flag":
        forms = WISHED if parameter.value else UNWISHED
    elif parameter.kind == "choice":
        forms = CHOSEN
    elif parameter.name in UNITS:
        forms = COUNTED
    elif alone and rng.random() < 0.5:
        forms = PLACED
    else:
        forms = LABELLED
    value = mention(rng, parameter.kind, parameter.value)
    return rng.choice(forms).format(name=parameter.name, value=value)


def request_for(rng: Random, tool: Tool, given: list[Parameter]) -> str:
    """An English request for the tool that gives the parameters in any order."""
    strings = sum(parameter.kind in STRING_KINDS for parameter in given)
    clauses = [clause(rng, parameter, alone=strings == 1) for parameter in given]
    rng.shuffle(clauses)
    verb = rng.choice(tool.verbs)
    thing = rng.choice((f"the {tool.noun}", f"a {tool.noun}", tool.noun, f"my {tool.noun}"))
    opening = rng.choice(OPENINGS)
    joint = rng.choice((" ", " ", ", ", " and ", ". "))
    body = joint.join((f"{opening}{verb} {thing}", *clauses))
    if rng.random() < 0.2:
        body = f"{joint.join(clauses)}: {verb} {thing}"
    return body[:1].upper() + body[1:] + rng.choice(CLOSINGS)


def answer_request(rng: Random) -> Conversation:
    """Choose among invented tools and write the call in plain notation."""
    toolbox = random_toolbox(rng)
    tool = rng.choice(toolbox)
    given = [item for item in tool.parameters if item.required or rng.random() < 0.45]
    call = notation(tool.name, {item.name: item.value for item in given})
    messages = [user(request_for(rng, tool, given)), assistant(call)]
    if rng.random() < 0.3:
        messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
    return Conversation(messages, [item.definition() for item in toolbox])


def choose_tool(rng: Random) -> Conversation:
    """Name the tool that fits a request."""
    toolbox = random_toolbox(rng)
    tool = rng.choice(toolbox)
    given = [item for item in tool.parameters if item.required]
    question = f"Which tool is for this: {request_for(rng, tool, given)}"
    return Conversation(
        [user(question), assistant(tool.name)], [item.definition() for item in toolbox]
    )


# --- chat -------------------------------------------------------------------------------------

SMALL_TALK = (
    ("Hello!", "Hello! How can I help you?"),
    ("Hi there", "Hi! What can I do for you?"),
    ("Good morning.", "Good morning! What can I do for you?"),
    ("Thank you!", "You are welcome."),
    ("Thanks a lot", "You are welcome."),
    ("Who are you?", "I am a very small language model made to be fine-tuned."),
    ("What are you?", "I am a very small language model made to be fine-tuned."),
    ("Goodbye", "Goodbye!"),
    ("How are you?", "I am fine, thank you. How can I help you?"),
    ("Can you help me?", "Yes. What do you need?"),
)
WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def small_talk(rng: Random) -> Conversation:
    """A greeting, thanks, or a question about the model."""
    question, answer = rng.choice(SMALL_TALK)
    return Conversation([user(question), assistant(answer)])


def arithmetic(rng: Random) -> Conversation:
    """Add or subtract small numbers."""
    left, right = rng.randrange(50), rng.randrange(50)
    if rng.random() < 0.5:
        return Conversation([user(f"What is {left} + {right}?"), assistant(str(left + right))])
    low, high = sorted((left, right))
    return Conversation([user(f"What is {high} - {low}?"), assistant(str(high - low))])


def calendar(rng: Random) -> Conversation:
    """What comes after a day or a month."""
    cycle = rng.choice((WEEK, MONTHS))
    index = rng.randrange(len(cycle))
    follower = cycle[(index + 1) % len(cycle)]
    return Conversation([user(f"What comes after {cycle[index]}?"), assistant(follower)])


def opposite(rng: Random) -> Conversation:
    """The opposite of a word."""
    pair = rng.choice(load_words().opposites)
    word, answer = rng.choice((pair, pair[::-1]))
    return Conversation([user(f"What is the opposite of {word}?"), assistant(answer)])


def same_meaning(rng: Random) -> Conversation:
    """Whether two verbs ask for the same thing."""
    group = rng.choice(load_words().verb_groups)
    same = rng.random() < 0.5
    other = group if same else rng.choice(load_words().verb_groups)
    first, second = rng.choice(group), rng.choice(other)
    answer = "Yes." if second in group else "No."
    return Conversation([user(f"Do {first} and {second} mean the same?"), assistant(answer)])


def spelling(rng: Random) -> Conversation:
    """Spell a word, or write a spelled word together."""
    word = any_word(rng)
    spelled = " ".join(word)
    if rng.random() < 0.5:
        return Conversation([user(f"Spell {word}."), assistant(spelled)])
    return Conversation([user(f"Write together: {spelled}"), assistant(word)])


def remember(rng: Random) -> Conversation:
    """Keep a fact over a turn of small talk."""
    name, (question, answer) = free_noun(rng), rng.choice(SMALL_TALK)
    value = rng.choice((identifier, file_path, pseudo_word))(rng)
    return Conversation(
        [
            user(f"My {name} is {value}."),
            assistant(f"I will remember your {name}."),
            user(question),
            assistant(answer),
            user(f"What is my {name}?"),
            assistant(f"Your {name} is {value}."),
        ]
    )


Task = Callable[[Random], Conversation]
# Task, share at the start, share once settled: copying first, because the rest builds upon it.
SETTLED = 0.3
SCHEDULE: tuple[tuple[Task, float, float], ...] = (
    (copy_text, 40, 5),
    (copy_quoted, 10, 4),
    (pick_from_list, 8, 4),
    (look_up, 10, 8),
    (to_json, 8, 10),
    (transcribe_call, 8, 14),
    (call_with_result, 1, 3),
    (answer_request, 10, 44),
    (choose_tool, 2, 5),
    (small_talk, 1, 1),
    (arithmetic, 1, 2),
    (calendar, 1, 1),
    (opposite, 1, 1),
    (same_meaning, 1, 2),
    (spelling, 2, 2),
    (remember, 1, 2),
)


def conversation(rng: Random, progress: float) -> Conversation:
    """One conversation; `progress` from 0 to 1 says how much of the training is done."""
    shift = min(1.0, progress / SETTLED)
    weights = [start + (end - start) * shift for _, start, end in SCHEDULE]
    task = rng.choices([task for task, _, _ in SCHEDULE], weights)[0]
    return task(rng)


def conversations(rng: Random, progress: float) -> Iterator[Conversation]:
    """An endless stream of conversations at one point of the schedule."""
    while True:
        yield conversation(rng, progress)


def all_text(item: Conversation) -> str:
    """Everything a conversation says, for learning a tokenizer's merges."""
    tools = json.dumps(item.tools) if item.tools else ""
    return "\n".join([tools, *(json.dumps(m, ensure_ascii=False) for m in item.messages)])
