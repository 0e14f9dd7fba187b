# What other compiled modules use; the types of everything else are in tokenizer.py.
cimport cython

from batchfsm.auditing.columns.text_values cimport WordTable


@cython.final
cdef class Tokenizer:
    cdef const unsigned char[::1] text
    cdef bint is_utf8
    cdef WordTable _words
    cdef unsigned char[::1] kinds
    cdef long long[::1] starts
    cdef long long[::1] ends
    cdef long long[::1] values
    cdef int[::1] codes
    cdef Py_ssize_t count
    cdef long long[::1] _keys
    cdef int _keys_count
    cdef long long[::1] _parents
    cdef long long[::1] _bases
    cdef long long[::1] _met

    cdef Py_ssize_t skip_space(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t scan(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _add(self, unsigned char kind, Py_ssize_t start, Py_ssize_t end, long long value) except -9 nogil
    cdef Py_ssize_t _scan_key(self, Py_ssize_t at, Py_ssize_t depth) except -9 nogil
    cdef bint _is_repeated(self, Py_ssize_t start, Py_ssize_t token) except -9 nogil
    cdef bint _add_key(self, Py_ssize_t token, Py_ssize_t depth) except -9 nogil
    cdef Py_ssize_t _scan_text(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _skip_escape(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _scan_scalar(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _scan_number(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _skip_digits(self, Py_ssize_t at) except -9 nogil
