/* Rows of mere texts, straight from JSON lines to canonical ones: what decides the speed of the
 * stage, and so the one part of the factory that is compiled. factory/data/plain.py says the same
 * in Python, for every other row and where there is no compiler.
 *
 * One pass, no tree: a row of mere texts is a list of turns that have a role, a text, and nothing
 * else, so its grammar is checked as it is copied, and no key can be named twice unseen. Texts are
 * written as orjson writes them. At the first byte of anything else the whole call says "other".
 *
 * Every read is of a byte that was compared before, or of the one behind it: bytes objects end in
 * a zero, which no rule here takes, so none reads on beyond it.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include "vendor/xxhash.h"

#if PY_BIG_ENDIAN
#error "index records are little-endian"
#endif

typedef unsigned char byte;

/* --- buffers ---------------------------------------------------------------------------------- */

/* Bytes that grow. When memory runs out `failed` is set and stays so; it is looked at once a row. */
typedef struct {
    byte *data;
    size_t size, room;
    int failed;
} Buffer;

static void reserve(Buffer *buffer, size_t room)
{
    byte *more = buffer->failed ? NULL : realloc(buffer->data, room);
    if (more == NULL) {
        buffer->failed = 1;
    } else {
        buffer->data = more;
        buffer->room = room;
    }
}

static void append(Buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (size > buffer->room - buffer->size)
        reserve(buffer, 2 * buffer->room + size + 256);
    if (buffer->failed)
        return;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

/* A piece of JSON that is expected or written as it is. */
typedef struct {
    const char *text;
    Py_ssize_t size;
} Literal;

#define LITERAL(text) ((Literal){text, sizeof(text) - 1})

static void append_literal(Buffer *buffer, Literal literal)
{
    append(buffer, literal.text, (size_t)literal.size);
}

/* --- what a source calls things --------------------------------------------------------------- */

#define MOST_ROLES 32

typedef struct {
    Literal name;  /* of the source, in quotes */
    Literal turn;  /* what a canonical turn of it begins with, up to its text */
    int user;
} Role;

typedef struct {
    Literal turns, role, text; /* keys of the source, in quotes */
    Role roles[MOST_ROLES];
    int role_count;
} Names;

/* --- reading ---------------------------------------------------------------------------------- */

/* What surrounds the turns of a canonical line; the row's number is between the last two. */
typedef struct {
    Literal head, before, after;
} Frame;

/* A record of factory.data.index. */
#pragma pack(push, 1)
typedef struct {
    XXH128_canonical_t content;
    XXH64_canonical_t user;
    uint64_t group, id;
    uint32_t profile, size, line;
} Record;
#pragma pack(pop)

typedef struct {
    const byte *at, *end;
    const Names *names;
    const Frame *frame;
    PyObject *fold;

    Buffer lines;      /* canonical lines */
    Buffer records;    /* of the rows, whose `profile` is a number of a shape */
    PyObject *shapes;  /* sequences of roles, as bytes, and their numbers in order */

    /* Of the row: */
    Buffer roles;      /* a byte for each turn, the number of its role */
    Buffer users;      /* the user's texts, without JSON's escapes, a zero between them */
    Buffer early;      /* a text that came before its role */
    int user_turns;
    int foreign;       /* whether one of the user's texts is more than ASCII */

    /* Of the row before: */
    Buffer last_roles;
    long last_shape;
} Reader;

static int ran_out_of_memory(const Reader *reader)
{
    return reader->lines.failed || reader->records.failed || reader->roles.failed ||
           reader->users.failed || reader->early.failed || reader->last_roles.failed;
}

static void skip_space(Reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r')
        reader->at++;
}

static int take(Reader *reader, byte wanted)
{
    skip_space(reader);
    if (*reader->at != wanted)
        return 0;
    reader->at++;
    return 1;
}

static int take_literal(Reader *reader, Literal wanted)
{
    skip_space(reader);
    if (reader->end - reader->at < wanted.size ||
        memcmp(reader->at, wanted.text, (size_t)wanted.size) != 0)
        return 0;
    reader->at += wanted.size;
    return 1;
}

/* The first byte from `at` on that is a quote, a backslash, a control character or not ASCII: eight
 * bytes at a time (Mycroft's test for a zero or a small byte in a word), then one by one. The zero
 * behind the end is such a byte. */
static const byte *mere_end(const byte *at, const byte *end)
{
    const uint64_t ones = ~(uint64_t)0 / 255, tops = ones << 7;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
        uint64_t found = (word - ones * 0x20) | (quote - ones) | (backslash - ones) | word;
        if (found & tops)
            break;
    }
    while (*at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static int follows(byte value) { return (value & 0xC0) == 0x80; }

/* How many bytes the character at `at` has, which is not ASCII; 0 if it is no UTF-8 (RFC 3629: no
 * longer than it has to be, no surrogates, none above U+10FFFF). */
static int utf8_size(const byte *at)
{
    if (at[0] < 0xC2)
        return 0;
    if (!follows(at[1]))
        return 0;
    if (at[0] < 0xE0)
        return 2;
    if (!follows(at[2]))
        return 0;
    if (at[0] < 0xF0) {
        if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F))
            return 0;
        return 3;
    }
    if (!follows(at[3]) || at[0] > 0xF4)
        return 0;
    if ((at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
        return 0;
    return 4;
}

/* The number that four hexadecimal digits say, -1 if they are none. */
static long hexadecimal(const byte *at)
{
    long value = 0;
    for (int digit = 0; digit < 4; digit++, at++) {
        if (*at >= '0' && *at <= '9')
            value = 16 * value + (*at - '0');
        else if ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'f')
            value = 16 * value + ((*at | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* The character of the `\u` escape at `*at`, which is moved behind it; -1 if it is none, or half of
 * one. */
static long escaped(const byte **at)
{
    long first = hexadecimal(*at + 2);
    if (first < 0 || (first >= 0xDC00 && first < 0xE000))
        return -1;
    *at += 6;
    if (first < 0xD800 || first >= 0xE000)
        return first;
    if ((*at)[0] != '\\' || (*at)[1] != 'u')
        return -1;
    long second = hexadecimal(*at + 2);
    if (second < 0xDC00 || second >= 0xE000)
        return -1;
    *at += 6;
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

/* Append a character as UTF-8. */
static void append_character(Buffer *buffer, long code)
{
    byte bytes[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        bytes[i] = (byte)(0x80 | (code & 0x3F));
    static const byte leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    bytes[0] = (byte)(leads[size] | code);
    append(buffer, bytes, size);
}

/* Append a character as orjson writes it inside a string. */
static void append_json_character(Buffer *buffer, long code)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\b\t\n\f\r\"\\", names[] = "btnfr\"\\";
    const char *letter = code > 0 && code < 0x80 ? strchr(letters, (int)code) : NULL;
    if (letter != NULL) {
        char pair[2] = {'\\', names[letter - letters]};
        append(buffer, pair, 2);
    } else if (code < 0x20) {
        char long_form[6] = {'\\', 'u', '0', '0', hex[code >> 4], hex[code & 15]};
        append(buffer, long_form, 6);
    } else {
        append_character(buffer, code);
    }
}

/* Append what is between the quotes of the string at the reader, as orjson writes it; `*foreign`
 * is set if that is more than ASCII. Returns 0 if there is no valid string. */
static int take_string(Reader *reader, Buffer *into, int *foreign)
{
    if (!take(reader, '"'))
        return 0;
    const byte *at = reader->at, *from = at;
    for (;;) {
        at = mere_end(at, reader->end);
        if (*at >= 0x80) {
            int size = utf8_size(at);
            if (size == 0)
                return 0;
            *foreign = 1;
            at += size;
        } else if (*at == '"') {
            break;
        } else if (*at != '\\') {
            return 0;
        } else if (at[1] == 'u') {
            append(into, from, (size_t)(at - from));
            long code = escaped(&at);
            if (code < 0)
                return 0;
            *foreign |= code >= 0x80;
            append_json_character(into, code);
            from = at;
        } else if (at[1] == '/') { /* needs no escape */
            append(into, from, (size_t)(at - from));
            from = at + 1;
            at += 2;
        } else if (at[1] != '\0' && strchr("\"\\bfnrt", at[1]) != NULL) {
            at += 2;
        } else {
            return 0;
        }
    }
    append(into, from, (size_t)(at - from));
    reader->at = at + 1;
    return 1;
}

/* Whether a JSON string surely holds a character that `str.isspace` says is none. A string that
 * holds only rarer ones may be called blank; it is judged by Python then. */
static int has_ink(const byte *at, const byte *end)
{
    while (at < end) {
        if (*at == '\\') {
            if (at[1] == '"' || at[1] == '\\')
                return 1;
            at += at[1] == 'u' ? 6 : 2;
        } else if (*at < 0x80) {
            if (*at != ' ')
                return 1;
            at++;
        } else {
            /* Spaces beyond ASCII: U+0085, U+00A0, U+1680, some of U+2000 to U+205F, U+3000. */
            int maybe_space = (at[0] == 0xC2 && at[1] <= 0xA0) ||
                              (at[0] == 0xE1 && at[1] == 0x9A) ||
                              (at[0] == 0xE2 && at[1] <= 0x81) ||
                              (at[0] == 0xE3 && at[1] == 0x80);
            if (!maybe_space)
                return 1;
            at += utf8_size(at);
        }
    }
    return 0;
}

/* Append a JSON string to the row's user texts, without its escapes. */
static void add_user_text(Reader *reader, const byte *at, const byte *end)
{
    if (reader->user_turns++)
        append(&reader->users, "", 1);
    const byte *from = at;
    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        append(&reader->users, from, (size_t)(at - from));
        if (at[1] == 'u') {
            append_character(&reader->users, escaped(&at));
        } else {
            static const char names[] = "btnfr", letters[] = "\b\t\n\f\r";
            const char *name = strchr(names, at[1]);
            append(&reader->users, name != NULL ? &letters[name - names] : (char *)&at[1], 1);
            at += 2;
        }
        from = at;
    }
    append(&reader->users, from, (size_t)(end - from));
}

/* The role at the reader; NULL if it is none of those that may have mere text. */
static const Role *take_role(Reader *reader)
{
    const Names *names = reader->names;
    for (int number = 0; number < names->role_count; number++) {
        if (take_literal(reader, names->roles[number].name)) {
            byte code = (byte)number;
            append(&reader->roles, &code, 1);
            return &names->roles[number];
        }
    }
    return NULL;
}

/* Append the turn at the reader to the lines; return 0 if it has more than a role and a text. */
static int take_turn(Reader *reader)
{
    const Names *names = reader->names;
    const Role *role;
    int foreign = 0;
    size_t start;
    if (!take(reader, '{'))
        return 0;
    if (take_literal(reader, names->role)) {
        if (!take(reader, ':') || (role = take_role(reader)) == NULL || !take(reader, ',') ||
            !take_literal(reader, names->text) || !take(reader, ':'))
            return 0;
        append_literal(&reader->lines, role->turn);
        start = reader->lines.size;
        if (!take_string(reader, &reader->lines, &foreign))
            return 0;
    } else {
        reader->early.size = 0;
        if (!take_literal(reader, names->text) || !take(reader, ':') ||
            !take_string(reader, &reader->early, &foreign) || !take(reader, ',') ||
            !take_literal(reader, names->role) || !take(reader, ':') ||
            (role = take_role(reader)) == NULL)
            return 0;
        append_literal(&reader->lines, role->turn);
        start = reader->lines.size;
        append(&reader->lines, reader->early.data, reader->early.size);
    }
    if (!take(reader, '}') || reader->lines.failed)
        return 0;
    const byte *text = reader->lines.data + start, *end = reader->lines.data + reader->lines.size;
    if (!has_ink(text, end))
        return 0;
    if (role->user) {
        add_user_text(reader, text, end);
        reader->foreign |= foreign;
    }
    append_literal(&reader->lines, LITERAL("\"}"));
    return 1;
}

/* Append the turns of the row at the reader to the lines, as a JSON array; return 0 if the line
 * holds anything else. */
static int take_row(Reader *reader)
{
    reader->roles.size = reader->users.size = 0;
    reader->user_turns = reader->foreign = 0;
    if (!take(reader, '{') || !take_literal(reader, reader->names->turns) || !take(reader, ':') ||
        !take(reader, '['))
        return 0;
    append_literal(&reader->lines, LITERAL("["));
    for (;;) {
        if (!take_turn(reader))
            return 0;
        if (!take(reader, ','))
            break;
        append_literal(&reader->lines, LITERAL(","));
    }
    if (!take(reader, ']') || !take(reader, '}'))
        return 0;
    append_literal(&reader->lines, LITERAL("]"));
    skip_space(reader);
    return *reader->at == '\n' || reader->at == reader->end;
}

/* --- keys and records ------------------------------------------------------------------------- */

/* What `normalise.fold` makes of ASCII; filled when the module is imported. */
static byte lower[256], is_kept[256];

static void fill_tables(void)
{
    for (int value = 0; value < 256; value++) {
        int space = value == ' ' || (value >= 9 && value <= 13) || (value >= 28 && value <= 31);
        lower[value] = (byte)(value >= 'A' && value <= 'Z' ? value | 0x20 : value);
        is_kept[value] = !space;
    }
}

/* The hash of what `fold` makes of the row's user texts; -1 with an error set. */
static int hash_by_fold(const Reader *reader, XXH64_hash_t *hash)
{
    const Buffer *users = &reader->users;
    PyObject *text = PyUnicode_DecodeUTF8((char *)users->data, (Py_ssize_t)users->size, NULL);
    PyObject *key = text == NULL ? NULL : PyObject_CallOneArg(reader->fold, text);
    char *bytes;
    Py_ssize_t size;
    int failed = key == NULL || PyBytes_AsStringAndSize(key, &bytes, &size) < 0;
    if (!failed)
        *hash = XXH3_64bits(bytes, (size_t)size);
    Py_XDECREF(key);
    Py_XDECREF(text);
    return failed ? -1 : 0;
}

/* The same for texts that are ASCII; the row's user texts are used up. */
static XXH64_hash_t hash_ascii(Reader *reader)
{
    Buffer *users = &reader->users;
    size_t kept = 0;
    for (size_t place = 0; place < users->size; place++) {
        byte value = users->data[place];
        users->data[kept] = lower[value];
        kept += is_kept[value];
    }
    return XXH3_64bits(users->data, kept);
}

/* The number of the row's shape, a new one if it has none yet; -1 with an error set. Most rows have
 * that of the row before. */
static long shape_number(Reader *reader)
{
    Buffer *roles = &reader->roles, *last = &reader->last_roles;
    if (last->size == roles->size && memcmp(last->data, roles->data, roles->size) == 0)
        return reader->last_shape;
    PyObject *key = PyBytes_FromStringAndSize((char *)roles->data, (Py_ssize_t)roles->size);
    PyObject *next = key == NULL ? NULL : PyLong_FromSsize_t(PyDict_GET_SIZE(reader->shapes));
    PyObject *found = next == NULL ? NULL : PyDict_SetDefault(reader->shapes, key, next);
    long number = found == NULL ? -1 : PyLong_AsLong(found);
    Py_XDECREF(next);
    Py_XDECREF(key);
    last->size = 0;
    append(last, roles->data, roles->size);
    reader->last_shape = number;
    return number;
}

/* Append the record of a row whose turns are `content`; -1 with an error set. */
static int add_record(Reader *reader, const byte *content, size_t size, Record record)
{
    XXH64_hash_t user;
    if (!reader->foreign)
        user = hash_ascii(reader);
    else if (hash_by_fold(reader, &user) < 0)
        return -1;
    long shape = shape_number(reader);
    if (shape < 0)
        return -1;
    record.profile = (uint32_t)shape;
    XXH128_canonicalFromHash(&record.content, XXH3_128bits(content, size));
    XXH64_canonicalFromHash(&record.user, user);
    append(&reader->records, &record, sizeof record);
    return 0;
}

/* --- all rows --------------------------------------------------------------------------------- */

static void append_number(Buffer *buffer, uint32_t number)
{
    char digits[10];
    size_t place = sizeof digits;
    do {
        digits[--place] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    append(buffer, digits + place, sizeof digits - place);
}

/* Read the row at the reader; 1, or 0 if it has more than texts, or -1 with an error set. */
static int read_row(Reader *reader, uint32_t number)
{
    const Frame *frame = reader->frame;
    Buffer *lines = &reader->lines;
    size_t line = lines->size;
    append_literal(lines, frame->head);
    size_t start = lines->size;
    int taken = take_row(reader);
    size_t stop = lines->size;
    append_literal(lines, frame->before);
    append_number(lines, number);
    append_literal(lines, frame->after);
    if (taken && !ran_out_of_memory(reader)) {
        Record record = {.size = (uint32_t)(lines->size - line), .line = number};
        if (add_record(reader, lines->data + start, stop - start, record) < 0)
            return -1;
    }
    if (ran_out_of_memory(reader)) {
        PyErr_NoMemory();
        return -1;
    }
    return taken;
}

/* Read all rows; 1, 0 or -1 as above. Blank lines are no rows, and count. */
static int read_rows(Reader *reader, uint32_t number)
{
    for (; reader->at < reader->end; number++) {
        skip_space(reader);
        if (*reader->at != '\n' && reader->at < reader->end) {
            int result = read_row(reader, number);
            if (result <= 0)
                return result;
        }
        reader->at += reader->at < reader->end; /* the line end */
    }
    return 1;
}

/* --- from Python and back --------------------------------------------------------------------- */

static Literal literal(PyObject *bytes)
{
    return (Literal){PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
}

/* Fill in the roles from tuples of name, turn, and whether it is the user; -1 with an error set. */
static int read_roles(PyObject *roles, Names *names)
{
    Py_ssize_t count = PyTuple_GET_SIZE(roles);
    if (count > MOST_ROLES) {
        PyErr_Format(PyExc_ValueError, "%zd roles, at most %d are possible", count, MOST_ROLES);
        return -1;
    }
    for (Py_ssize_t number = 0; number < count; number++) {
        PyObject *name, *turn;
        Role *role = &names->roles[number];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(roles, number), "SSp", &name, &turn, &role->user))
            return -1;
        role->name = literal(name);
        role->turn = literal(turn);
    }
    names->role_count = (int)count;
    return 0;
}

static PyObject *result(const Reader *reader)
{
    const Buffer *lines = &reader->lines, *records = &reader->records;
    PyObject *text = PyBytes_FromStringAndSize((char *)lines->data, (Py_ssize_t)lines->size);
    PyObject *index =
        PyByteArray_FromStringAndSize((char *)records->data, (Py_ssize_t)records->size);
    PyObject *both = text == NULL || index == NULL
                         ? NULL
                         : PyTuple_Pack(3, text, index, reader->shapes);
    Py_XDECREF(text);
    Py_XDECREF(index);
    return both;
}

PyDoc_STRVAR(
    read_doc,
    "read(data, first, keys, roles, frame, fold)\n--\n\n"
    "JSON lines of mere texts as canonical lines; None if they hold anything else.\n\n"
    "data:  whole lines\n"
    "first: the number of the first of them\n"
    "keys:  what a source calls its turns, their role and their text: three JSON strings\n"
    "roles: for each role its name as a JSON string, the canonical turn up to the text, and\n"
    "       whether it is the user's\n"
    "frame: a canonical line before its turns, behind them, and behind the number of its line\n"
    "fold:  factory.data.normalise.fold\n\n"
    "Returns the lines; their records as factory.data.index has them, with the number of a shape\n"
    "as profile; and the shapes with their numbers: for each turn a byte with the place of its\n"
    "role in `roles`. Raises MemoryError, and whatever `fold` raises.");

static PyObject *read_lines(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *data, *turns, *role, *text, *roles, *head, *before, *after, *fold, *value = NULL;
    unsigned int first;
    if (!PyArg_ParseTuple(arguments, "SI(SSS)O!(SSS)O:read", &data, &first, &turns, &role, &text,
                          &PyTuple_Type, &roles, &head, &before, &after, &fold))
        return NULL;
    Names names = {.turns = literal(turns), .role = literal(role), .text = literal(text)};
    if (read_roles(roles, &names) < 0)
        return NULL;
    Frame frame = {literal(head), literal(before), literal(after)};
    const Literal lines = literal(data);
    Reader reader = {
        .at = (const byte *)lines.text,
        .end = (const byte *)lines.text + lines.size,
        .names = &names,
        .frame = &frame,
        .fold = fold,
        .shapes = PyDict_New(),
    };
    if (reader.shapes != NULL) {
        reserve(&reader.lines, (size_t)lines.size * 5 / 4 + 256); /* mostly enough */
        int done = read_rows(&reader, first);
        if (done >= 0)
            value = done ? result(&reader) : Py_NewRef(Py_None);
        Py_DECREF(reader.shapes);
    }
    free(reader.lines.data);
    free(reader.records.data);
    free(reader.roles.data);
    free(reader.users.data);
    free(reader.early.data);
    free(reader.last_roles.data);
    return value;
}

static PyMethodDef methods[] = {
    {"read", read_lines, METH_VARARGS, read_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "factory.data._plain",
    .m_doc = "Rows of mere texts, straight from JSON lines to canonical ones.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__plain(void)
{
    fill_tables();
    return PyModuleDef_Init(&module);
}
