# libkeyturn: the folders' objects in one shared library that exports what KT_API marks, and its packages.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(folders GLOBAL PROPERTY KT_FOLDERS)
get_property(external GLOBAL PROPERTY KT_EXTERNAL_LINKS)
list(REMOVE_DUPLICATES external)
list(TRANSFORM folders REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)

add_library(keyturn_shared SHARED ${objects})
target_link_libraries(keyturn_shared PRIVATE ${external})
target_include_directories(keyturn_shared INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                                    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(keyturn_shared PROPERTIES
  OUTPUT_NAME keyturn EXPORT_NAME keyturn LINKER_LANGUAGE C
  VERSION ${PROJECT_VERSION} SOVERSION 0)
target_link_options(keyturn_shared PRIVATE LINKER:-z,relro,-z,now)
if(KT_SANITIZE)
  target_link_options(keyturn_shared PRIVATE -fsanitize=${KT_SANITIZE})
else()
  target_link_options(keyturn_shared PRIVATE LINKER:--no-undefined)
endif()

install(TARGETS keyturn_shared EXPORT keyturnTargets)
install(DIRECTORY include/keyturn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
if(TARGET keyturn)
  install(TARGETS keyturn)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/keyturn)
install(EXPORT keyturnTargets NAMESPACE keyturn:: DESTINATION ${package_dir})
configure_package_config_file(cmake/keyturnConfig.cmake.in keyturnConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(keyturnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/keyturnConfig.cmake ${PROJECT_BINARY_DIR}/keyturnConfigVersion.cmake
        DESTINATION ${package_dir})

# Relative, so that the prefix may be chosen or moved at install time.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/keyturn.pc.in keyturn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/keyturn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
