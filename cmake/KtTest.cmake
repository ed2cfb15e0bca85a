# Test programs. Their results are counted case by case from build/<preset>/results/NAME.tap (scripts/tally.py).

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/results)
set(KT_TEST_PYTHON ${CMAKE_SOURCE_DIR}/.deps/venv/bin/python CACHE FILEPATH "a Python with tests/requirements.txt")

function(kt_test_program target)
  cmake_parse_arguments(F "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${target} ${F_SOURCES})
  kt_options(${target})
  target_compile_definitions(${target} PRIVATE KT_TEST_SHARED_DEFAULT="${CMAKE_SOURCE_DIR}/../shared")
  target_link_libraries(${target} PRIVATE kt_test_support ${F_LINKS})
endfunction()

# kt_test_properties(NAME ... [ENVIRONMENT VARIABLE=VALUE...]). Each case is a process of its own that libmongoc would leave
# a file of counters of; a later process of the same number would be warned, on stderr.
function(kt_test_properties name)
  cmake_parse_arguments(P "" "" "ENVIRONMENT" ${ARGN})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "MONGOC_DISABLE_SHM=1;${P_ENVIRONMENT}" ${P_UNPARSED_ARGUMENTS})
endfunction()

# What the presets tsan and fuzz build.
function(kt_gather all target)
  if(NOT TARGET ${all})
    add_custom_target(${all})
  endif()
  add_dependencies(${all} ${target})
endfunction()

# kt_test(NAME [MONGOD] SOURCES ... LINKS ...): one Criterion program for a folder's tests; MONGOD as below. Left out of
# builds with ThreadSanitizer, under which Criterion does not start.
function(kt_test name)
  if(KT_SANITIZE MATCHES thread)
    return()
  endif()
  cmake_parse_arguments(T "MONGOD" "" "" ${ARGN})
  kt_test_program(test_${name} ${T_UNPARSED_ARGUMENTS})
  target_link_libraries(test_${name} PRIVATE PkgConfig::CRITERION)
  set(launcher)
  if(T_MONGOD)
    kt_find_mongod_launcher(launcher)
  endif()
  add_test(NAME ${name} COMMAND ${launcher} $<TARGET_FILE:test_${name}> --tap=${CMAKE_BINARY_DIR}/results/${name}.tap)
  kt_test_properties(${name})
endfunction()

# kt_plain_test(NAME SOURCES ... LINKS ...): a test with a main() of its own, in every build: for what
# ThreadSanitizer must see. Exit status 0 passed, 77 skipped, anything else failed.
function(kt_plain_test name)
  kt_test_program(plain_${name} ${ARGN})
  kt_gather(plain_tests plain_${name})
  add_test(NAME ${name} COMMAND plain_${name})
  kt_test_properties(${name} SKIP_RETURN_CODE 77)
endfunction()

# kt_python_test(NAME [MONGOD]): the unittest files test_*.py of the current folder, each a test NAME-* of its own. They
# find the build in KEYTURN_BUILD and, with MONGOD, a replica set of their own in KEYTURN_TEST_MONGODB_URI.
function(kt_python_test name)
  if(KT_SANITIZE MATCHES thread)
    return()
  endif()
  kt_find_test_python(python)
  set(launcher)
  set(cost 1)
  if(ARGN STREQUAL "MONGOD")
    kt_find_mongod_launcher(launcher)
    set(cost 2) # those that wait most begin first
  endif()
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} test_*.py)
  foreach(file IN LISTS files)
    string(REGEX REPLACE "test_(.*)\\.py" "${name}-\\1" test ${file})
    add_test(NAME ${test} COMMAND ${launcher} ${python} ${CMAKE_SOURCE_DIR}/tests/support/run_unittest.py
                                  --tap ${CMAKE_BINARY_DIR}/results/${test}.tap ${CMAKE_CURRENT_SOURCE_DIR} ${file})
    kt_test_properties(${test} SKIP_RETURN_CODE 77 COST ${cost} ENVIRONMENT "KEYTURN_BUILD=${CMAKE_BINARY_DIR}")
  endforeach()
endfunction()

function(kt_find_test_python out)
  if(EXISTS ${KT_TEST_PYTHON})
    set(${out} ${KT_TEST_PYTHON} PARENT_SCOPE)
  else()
    set(${out} python3 PARENT_SCOPE)
  endif()
endfunction()

# What starts a command beside a mongod of its own: fail points hold for a whole server, so tests do not share one.
function(kt_find_mongod_launcher out)
  kt_find_test_python(python)
  set(${out} ${python} ${CMAKE_SOURCE_DIR}/scripts/mongod.py run PARENT_SCOPE)
endfunction()

# kt_fuzz(NAME SOURCES ... LINKS ...): a libFuzzer target, run by scripts/fuzz.sh. Seeds, when there are any,
# lie in tests/fuzz/seeds/NAME/.
function(kt_fuzz name)
  kt_test_program(fuzz_${name} ${ARGN})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  kt_gather(fuzz_targets fuzz_${name})
endfunction()
