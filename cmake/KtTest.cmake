# Test programs. Their results count case by case: Criterion writes them to build/<preset>/results/NAME.xml.

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/results)

function(kt_test_program target)
  cmake_parse_arguments(F "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${target} ${F_SOURCES})
  kt_options(${target})
  target_compile_definitions(${target} PRIVATE KT_TEST_SHARED_DEFAULT="${CMAKE_SOURCE_DIR}/../shared")
  target_link_libraries(${target} PRIVATE kt_test_support ${F_LINKS})
endfunction()

# kt_test(NAME SOURCES ... LINKS ...): one Criterion program for a folder's tests. Left out of builds with
# ThreadSanitizer, under which Criterion does not start.
function(kt_test name)
  if(KT_SANITIZE MATCHES thread)
    return()
  endif()
  kt_test_program(test_${name} ${ARGN})
  target_link_libraries(test_${name} PRIVATE PkgConfig::CRITERION)
  add_test(NAME ${name} COMMAND test_${name} --xml=${CMAKE_BINARY_DIR}/results/${name}.xml)
endfunction()

# kt_plain_test(NAME SOURCES ... LINKS ...): a test with a main() of its own, in every build: for what
# ThreadSanitizer must see. Exit status 0 passed, 77 skipped, anything else failed.
function(kt_plain_test name)
  kt_test_program(plain_${name} ${ARGN})
  add_test(NAME ${name} COMMAND plain_${name})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
endfunction()

# kt_fuzz(NAME SOURCES ... LINKS ...): a libFuzzer target, run by scripts/fuzz.sh. Seeds, when there are any,
# lie in tests/fuzz/seeds/NAME/.
function(kt_fuzz name)
  kt_test_program(fuzz_${name} ${ARGN})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
