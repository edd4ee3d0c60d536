// SPDX-License-Identifier: MIT
// Other names for those of rtl's routines that the host's C library has too. A test that includes
// their sources includes this first, and then means the kernel's by the plain names.
#pragma once

#define memcpy    nt_memcpy
#define memmove   nt_memmove
#define memset    nt_memset
#define memcmp    nt_memcmp
#define memchr    nt_memchr
#define strlen    nt_strlen
#define strnlen   nt_strnlen
#define strcmp    nt_strcmp
#define strncmp   nt_strncmp
#define strchr    nt_strchr
#define strrchr   nt_strrchr
#define strstr    nt_strstr
#define strcpy    nt_strcpy
#define strncpy   nt_strncpy
#define strcat    nt_strcat
#define strncat   nt_strncat
#define strspn    nt_strspn
#define strpbrk   nt_strpbrk
#define isdigit   nt_isdigit
#define islower   nt_islower
#define isupper   nt_isupper
#define isspace   nt_isspace
#define isprint   nt_isprint
#define isxdigit  nt_isxdigit
#define tolower   nt_tolower
#define toupper   nt_toupper
#define atoi      nt_atoi
#define atol      nt_atol
#define sprintf   nt_sprintf
#define vsprintf  nt_vsprintf
