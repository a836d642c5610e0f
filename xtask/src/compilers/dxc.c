/* Compiles HLSL with Microsoft's dxcompiler.dll, for a Windows that may be Wine: one process, many files.
 *
 * Its lines begin with "> ". It greets with a line, "ready MAJOR.MINOR". Then it reads lines FILE <tab> TARGET <tab> ENTRY <tab> 0|1 (whether 16-bit types are on) and
 * answers each with a line: "ok BYTES", or "failed STATUS TEXT" with line breaks as tabs. The arguments are those that wgpu gives. As for
 * wgpu, any text from the compiler is a failure.
 */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A COM object is a pointer to a table of functions. */
typedef struct { void **table; } Object;
typedef struct { const void *text; SIZE_T bytes; UINT encoding; } Buffer;
typedef HRESULT (WINAPI *Create)(const GUID *, const GUID *, void **);

static const GUID COMPILER = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID COMPILER3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};
static const GUID VERSION = {0xb04f5b50, 0x2059, 0x4f12, {0xa8, 0xff, 0xa1, 0xe0, 0xcd, 0xe1, 0xcc, 0x7e}};
static const UINT UTF8 = 65001;

/* IUnknown */
static HRESULT query(Object *o, const GUID *as, Object **found)
{
    return ((HRESULT (WINAPI *)(Object *, const GUID *, Object **))o->table[0])(o, as, found);
}
static void release(Object *o)
{
    if (o) ((ULONG (WINAPI *)(Object *))o->table[2])(o);
}
/* IDxcBlob */
static const char *text_of(Object *blob)
{
    return ((void *(WINAPI *)(Object *))blob->table[3])(blob);
}
static SIZE_T bytes_of(Object *blob)
{
    return ((SIZE_T (WINAPI *)(Object *))blob->table[4])(blob);
}

static char *read_file(const char *path, SIZE_T *bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    if (text) *bytes = fread(text, 1, (size_t)size, file);
    fclose(file);
    return text;
}

static void wide(const char *from, wchar_t *to, size_t room)
{
    size_t n = mbstowcs(to, from, room - 1);
    to[n == (size_t)-1 ? 0 : n] = 0;
}

static void say_failed(HRESULT status, const char *text, SIZE_T bytes)
{
    printf("> failed %08lx ", (unsigned long)status);
    for (SIZE_T i = 0; i < bytes && text[i]; i++) putchar(text[i] == '\n' || text[i] == '\r' ? '\t' : text[i]);
    putchar('\n');
}

static void compile(Object *compiler, const char *path, const char *target, const char *entry, int half)
{
    Buffer source = {NULL, 0, UTF8};
    char *text = read_file(path, &source.bytes);
    if (!text) {
        say_failed(E_FAIL, "the file cannot be read", 23);
        return;
    }
    source.text = text;
    wchar_t wide_target[32], wide_entry[128];
    wide(target, wide_target, 32);
    wide(entry, wide_entry, 128);
    const wchar_t *args[] = {L"-E", wide_entry, L"-T", wide_target, L"-HV", L"2018", L"-no-warnings", L"-Ges", L"-enable-16bit-types"};
    Object *result = NULL, *errors = NULL, *code = NULL;
    HRESULT called = ((HRESULT (WINAPI *)(Object *, const Buffer *, const wchar_t **, UINT, void *, const GUID *, Object **))compiler->table[3])(
        compiler, &source, args, half ? 9 : 8, NULL, &RESULT, &result);
    free(text);
    if (called || !result) {
        say_failed(called, "the compiler could not be called", 32);
        return;
    }
    HRESULT status = E_FAIL;
    ((HRESULT (WINAPI *)(Object *, HRESULT *))result->table[3])(result, &status);
    ((HRESULT (WINAPI *)(Object *, Object **))result->table[4])(result, &code);
    ((HRESULT (WINAPI *)(Object *, Object **))result->table[5])(result, &errors);
    SIZE_T said = errors ? bytes_of(errors) : 0;
    /* a text of nothing but its closing zero is none */
    if (status || !code || !bytes_of(code) || (said && *text_of(errors)))
        say_failed(status, said ? text_of(errors) : "", said);
    else
        printf("> ok %lu\n", (unsigned long)bytes_of(code));
    release(errors);
    release(code);
    release(result);
}

int main(void)
{
    HMODULE library = LoadLibraryA("dxcompiler.dll");
    if (!library) {
        printf("> no dxcompiler.dll: error %lu\n", GetLastError());
        return 3;
    }
    Create create = (Create)(void *)GetProcAddress(library, "DxcCreateInstance");
    Object *compiler = NULL, *about = NULL;
    if (!create || create(&COMPILER, &COMPILER3, (void **)&compiler)) {
        printf("> no compiler in dxcompiler.dll\n");
        return 4;
    }
    UINT version[2] = {0, 0};
    if (!query(compiler, &VERSION, &about)) {
        ((HRESULT (WINAPI *)(Object *, UINT *, UINT *))about->table[3])(about, &version[0], &version[1]);
        release(about);
    }
    printf("> ready %u.%u\n", version[0], version[1]);
    fflush(stdout);
    static char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *path = strtok(line, "\t\r\n"), *target = strtok(NULL, "\t\r\n"), *entry = strtok(NULL, "\t\r\n"), *half = strtok(NULL, "\t\r\n");
        if (half) compile(compiler, path, target, entry, *half == '1');
        else say_failed(E_INVALIDARG, "expected four fields", 20);
        fflush(stdout);
    }
    return 0;
}
