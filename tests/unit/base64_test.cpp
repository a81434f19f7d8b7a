#include "lib/base/base64.hpp"

#include <doctest/doctest.h>

using namespace portmapper;

TEST_CASE("base64: what RFC 4648 encodes") {
  CHECK(decode_base64("") == "");
  CHECK(decode_base64("Zg==") == "f");
  CHECK(decode_base64("Zm8=") == "fo");
  CHECK(decode_base64("Zm9v") == "foo");
  CHECK(decode_base64("Zm9vYmFy") == "foobar");
  CHECK(decode_base64("/+8A") == std::string("\xff\xef\x00", 3));
}

TEST_CASE("base64: what is encoded is decoded to the same") {
  CHECK(encode_base64("") == "");
  CHECK(encode_base64("f") == "Zg==");
  CHECK(encode_base64("fo") == "Zm8=");
  CHECK(encode_base64("foobar") == "Zm9vYmFy");
  CHECK(encode_base64(std::string("\xff\xef\x00", 3)) == "/+8A");
}

TEST_CASE("base64: nothing else") {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "====", "=", "Zm8=Zm8=", "Zm9v\n", "Zm 9v",
                           "Zm-_", "Zh==", "Zm9=", "Zm9v\xc3\xa9", "Z==="}) {
    CAPTURE(text);
    CHECK(decode_base64(text) == std::nullopt);
  }
}
