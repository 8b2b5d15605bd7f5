/* stds: c99 gnu11 c++11 */
/* The transitive includes that programs rely on come with the header. */

#include <libdill.h>

int main(void) {
    size_t size = sizeof(int64_t);
    void *memory = malloc(size);
    void *local = alloca(size);
    jmp_buf buffer;
    errno = 0;
    free(memory);
    (void)local;
    (void)buffer;
    return memory == NULL ? EXIT_FAILURE : (int)getpid() * 0;
}
