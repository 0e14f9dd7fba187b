# What other compiled modules use; the types of everything else are in text_values.py.
cdef long long finish_hash(unsigned long long state) except -9 nogil
cdef long long hash_text(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
cdef long long other_hash(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
cdef long long window_seconds(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
cdef long long id_seconds(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
cdef double observation_time(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end, bint is_text) except -9 nogil

cdef class WordTable:
    cdef const unsigned char[::1] _letters
    cdef long long[::1] _spans
    cdef long long _mask

    cdef int find(self, long long hashed, const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end) except -9 nogil
