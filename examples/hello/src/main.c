#include "greeting.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    char line[128];
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("hello " VERSION);
        return 0;
    }
    if (greeting(line, sizeof line, argc > 1 ? argv[1] : "world") != 0) {
        fputs("hello: that name is too long\n", stderr);
        return 1;
    }
    puts(line);
    return 0;
}
