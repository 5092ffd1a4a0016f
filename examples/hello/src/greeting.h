#include <stddef.h>

/* Writes the greeting of a name to line; not 0 when it has no room there. */
int greeting(char *line, size_t size, const char *name);
