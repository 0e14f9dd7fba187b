# What other compiled modules use; the types of everything else are in text_values.py.
cimport cython

# The two halves of a product of 128 bits, combined by exclusive or. Pure Python mode has no integer of 128 bits, and
# without one the hashes of a log take twice as long.
cdef extern from *:
    """
    static inline unsigned long long fold_product(unsigned long long one, unsigned long long other) {
    #ifdef __SIZEOF_INT128__
        unsigned __int128 product = (unsigned __int128)one * other;
        return (unsigned long long)(product >> 64) ^ (unsigned long long)product;
    #else
        unsigned long long half = 0xFFFFFFFF;
        unsigned long long low = (one & half) * (other & half);
        unsigned long long middle = (one >> 32) * (other & half) + (low >> 32);
        unsigned long long across = (one & half) * (other >> 32) + (middle & half);
        unsigned long long high = (one >> 32) * (other >> 32) + (middle >> 32) + (across >> 32);
        return high ^ (across << 32 | (low & half));
    #endif
    }
    """
    unsigned long long fold_product(unsigned long long one, unsigned long long other) noexcept nogil

cdef long long hash_text(const unsigned char[::1] text, Py_ssize_t start, Py_ssize_t end, unsigned long long seed) except -9 nogil
cdef Py_ssize_t count_lines(const unsigned char[::1] text, Py_ssize_t end) except -9 nogil
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
