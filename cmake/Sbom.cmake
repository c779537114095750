# build/<preset>/sbom.spdx.json: what this build is made of, with the versions that were found.
if(EMSCRIPTEN)
  return()
endif()
set(sbom "${CMAKE_BINARY_DIR}/sbom.spdx.json")
add_custom_command(
  OUTPUT "${sbom}"
  COMMAND "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/sbom.py" --out "${sbom}" --version "${PROJECT_VERSION}"
          --wolfssl "${SEREUS_DEP_wolfssl_version}" "${SEREUS_DEP_wolfssl_sha256}" "${SEREUS_DEP_wolfssl_patches}"
          --ngtcp2 "${SEREUS_DEP_ngtcp2_version}" "${SEREUS_DEP_ngtcp2_sha256}" "${SEREUS_DEP_ngtcp2_patches}"
          --llhttp "${SEREUS_DEP_llhttp_version}" "${SEREUS_DEP_llhttp_sha256}" "${SEREUS_DEP_llhttp_patches}"
  DEPENDS "${PROJECT_SOURCE_DIR}/tools/sbom.py" "${PROJECT_SOURCE_DIR}/tools/deps.py"
  COMMENT "SBOM"
  VERBATIM
)
add_custom_target(sereus_sbom ALL DEPENDS "${sbom}")
