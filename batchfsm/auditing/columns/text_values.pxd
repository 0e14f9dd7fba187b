# What other compiled modules use; the types of everything else are in text_values.py.
cimport cython

cdef long long hash_text(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end, unsigned long long seed) except -9 nogil
cdef long long window_seconds(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
cdef long long id_seconds(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
cdef double observation_time(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end, bint is_text) except -9 nogil

@cython.final
cdef class WordTable:
    cdef const unsigned char[::1] letters
    cdef long long[::1] spans
    cdef long long mask
    cdef unsigned long long seed

    cdef int find(self, long long hashed, const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
