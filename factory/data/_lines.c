/* Two things that are done for every byte of every line. factory/data/bytecount.py and
 * factory/data/write.py do them where there is no compiler, and say what they are. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* How often `wanted` is among at most 255 * 64 bytes: 64 counters side by side, which compilers
 * make vectors of and none of which can overflow. */
static Py_ssize_t count_in_step(const uint8_t *data, Py_ssize_t size, uint8_t wanted)
{
    uint8_t counters[64] = {0};
    Py_ssize_t place = 0, found = 0;
    for (; size - place >= 64; place += 64)
        for (int i = 0; i < 64; i++)
            counters[i] += data[place + i] == wanted;
    for (; place < size; place++)
        found += data[place] == wanted;
    for (int i = 0; i < 64; i++)
        found += counters[i];
    return found;
}

PyDoc_STRVAR(count_doc, "count(data, byte)\n--\n\nHow often the single `byte` occurs in `data`.");

static PyObject *count(PyObject *module, PyObject *arguments)
{
    (void)module;
    Py_buffer data;
    char byte;
    if (!PyArg_ParseTuple(arguments, "y*c:count", &data, &byte))
        return NULL;
    const Py_ssize_t step = 255 * 64;
    Py_ssize_t found = 0;
    for (Py_ssize_t place = 0; place < data.len; place += step) {
        Py_ssize_t left = data.len - place;
        found += count_in_step((uint8_t *)data.buf + place, left < step ? left : step, (uint8_t)byte);
    }
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(found);
}

#define MOST_PARTS 8

/* Add up what goes to each part; -1, with an error set, if a line is not in the data. */
static int measure(const int64_t *ends, const int8_t *fate, Py_ssize_t lines, Py_ssize_t bytes,
                   int parts, Py_ssize_t *sizes)
{
    int64_t start = 0;
    for (Py_ssize_t line = 0; line < lines; line++) {
        if (ends[line] < start || ends[line] > bytes) {
            PyErr_SetString(PyExc_ValueError, "a line ends before it starts, or behind the data");
            return -1;
        }
        if (fate[line] >= 0 && fate[line] < parts)
            sizes[fate[line]] += (Py_ssize_t)(ends[line] - start);
        start = ends[line];
    }
    return 0;
}

/* Copy each line to the end of its part. */
static void copy(const char *data, const int64_t *ends, const int8_t *fate, Py_ssize_t lines,
                 int parts, char **into)
{
    int64_t start = 0;
    for (Py_ssize_t line = 0; line < lines; line++) {
        size_t size = (size_t)(ends[line] - start);
        if (fate[line] >= 0 && fate[line] < parts) {
            memcpy(into[fate[line]], data + start, size);
            into[fate[line]] += size;
        }
        start = ends[line];
    }
}

/* A tuple of bytes objects of these sizes, and where they begin; NULL with an error set. */
static PyObject *allocate(int parts, const Py_ssize_t *sizes, char **into)
{
    PyObject *tuple = PyTuple_New(parts);
    for (int part = 0; tuple != NULL && part < parts; part++) {
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, sizes[part]);
        if (bytes == NULL) {
            Py_CLEAR(tuple);
        } else {
            into[part] = PyBytes_AS_STRING(bytes);
            PyTuple_SET_ITEM(tuple, part, bytes);
        }
    }
    return tuple;
}

PyDoc_STRVAR(
    part_doc,
    "part(data, ends, fate, parts)\n--\n\n"
    "The lines of each part, in order.\n\n"
    "data:  lines\n"
    "ends:  where each of them ends, int64\n"
    "fate:  the number of its part, int8; a line that has none is left out\n"
    "parts: how many there are\n\n"
    "Raises ValueError for lines that are not in the data.");

static PyObject *part(PyObject *module, PyObject *arguments)
{
    (void)module;
    Py_buffer data, ends, fate;
    int parts;
    PyObject *found = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*i:part", &data, &ends, &fate, &parts))
        return NULL;
    Py_ssize_t sizes[MOST_PARTS] = {0}, lines = fate.len;
    char *into[MOST_PARTS];
    if (parts < 0 || parts > MOST_PARTS || ends.len != lines * (Py_ssize_t)sizeof(int64_t))
        PyErr_SetString(PyExc_ValueError, "too many parts, or not as many ends as fates");
    else if (measure(ends.buf, fate.buf, lines, data.len, parts, sizes) == 0 &&
             (found = allocate(parts, sizes, into)) != NULL)
        copy(data.buf, ends.buf, fate.buf, lines, parts, into);
    PyBuffer_Release(&data);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&fate);
    return found;
}

static PyMethodDef methods[] = {
    {"count", count, METH_VARARGS, count_doc},
    {"part", part, METH_VARARGS, part_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "factory.data._lines",
    .m_doc = "What is done for every byte of every line.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__lines(void) { return PyModuleDef_Init(&module); }
