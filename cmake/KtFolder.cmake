# One static library per folder: what a folder may use is what it links (docs/ARCHITECTURE.md, "Folders").

set(KT_WARNINGS -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
                -Wformat=2 -Wno-format-nonliteral)
if(KT_WERROR)
  list(APPEND KT_WARNINGS -Werror)
endif()

function(kt_options target)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE ${KT_WARNINGS})
  # Not only hardening: resolving a symbol at its first call saves the vector registers on the stack, and with them
  # what memcpy of a secret left there.
  target_link_options(${target} PUBLIC LINKER:-z,relro,-z,now)
  if(KT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${KT_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${KT_SANITIZE})
  endif()
  if(KT_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# kt_folder(NAME SOURCES ... LINKS ...): the library kt_NAME. Its objects go into libkeyturn too, unless it is
# PROGRAM: part of the command-line program alone.
function(kt_folder name)
  cmake_parse_arguments(F "PROGRAM" "" "SOURCES;LINKS" ${ARGN})
  add_library(kt_${name} STATIC ${F_SOURCES})
  kt_options(kt_${name})
  target_link_libraries(kt_${name} PUBLIC ${F_LINKS})
  if(NOT F_PROGRAM)
    set_property(GLOBAL APPEND PROPERTY KT_FOLDERS kt_${name})
    list(FILTER F_LINKS EXCLUDE REGEX "^kt_")
    set_property(GLOBAL APPEND PROPERTY KT_EXTERNAL_LINKS ${F_LINKS})
  endif()
endfunction()
