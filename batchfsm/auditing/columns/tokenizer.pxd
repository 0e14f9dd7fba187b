# What other compiled modules use; the types of everything else are in tokenizer.py.
cimport cython


@cython.final
cdef class Tokenizer:
    cdef const unsigned char[::1] text
    cdef bint is_utf8
    cdef unsigned long long seed
    cdef unsigned char[::1] kinds
    cdef long long[::1] starts
    cdef long long[::1] ends
    cdef long long[::1] values
    cdef Py_ssize_t count
    cdef long long[::1] _keys
    cdef int _keys_count
    cdef long long[::1] _parents
    cdef long long[::1] _bases

    cdef Py_ssize_t skip_space(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t scan(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _add(self, unsigned char kind, Py_ssize_t start, Py_ssize_t end, long long value) except -9 nogil
    cdef Py_ssize_t _scan_key(self, Py_ssize_t at, long long base) except -9 nogil
    cdef Py_ssize_t _scan_text(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _skip_escape(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _scan_scalar(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _scan_number(self, Py_ssize_t at) except -9 nogil
    cdef Py_ssize_t _skip_digits(self, Py_ssize_t at) except -9 nogil
