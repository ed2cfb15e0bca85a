# One static library per folder: what a folder may use is what it links (docs/ARCHITECTURE.md, "Folders").

set(KT_WARNINGS -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
                -Wvla -Wformat=2 -Wno-format-nonliteral)

function(kt_options target)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE ${KT_WARNINGS})
  if(KT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${KT_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${KT_SANITIZE})
  endif()
endfunction()

# kt_folder(NAME SOURCES ... LINKS ...): the library kt_NAME
function(kt_folder name)
  cmake_parse_arguments(F "" "" "SOURCES;LINKS" ${ARGN})
  add_library(kt_${name} STATIC ${F_SOURCES})
  kt_options(kt_${name})
  target_link_libraries(kt_${name} PUBLIC ${F_LINKS})
endfunction()

# kt_test(NAME SOURCES ... LINKS ...): one Criterion program for a folder's tests
function(kt_test name)
  cmake_parse_arguments(F "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(test_${name} ${F_SOURCES})
  kt_options(test_${name})
  target_compile_definitions(test_${name} PRIVATE
    KT_TEST_SHARED_DEFAULT="${CMAKE_SOURCE_DIR}/../shared")
  target_link_libraries(test_${name} PRIVATE kt_test_support ${F_LINKS} PkgConfig::CRITERION)
  add_test(NAME ${name} COMMAND test_${name})
endfunction()
