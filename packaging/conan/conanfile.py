"""A recipe for Conan 2. The sources are a release made by `make dist`, unpacked beside this file:

    tar xf libdill-0.1.0.tar.xz --strip-components=1 && conan create packaging/conan

Needs cargo 1.89 or newer and make, which Conan does not bring.
"""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy


class Libdill(ConanFile):
    name = "libdill"
    version = "0.1.0"
    license = "MIT"
    description = "Structured concurrency and WebSocket for C"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "tls": [True, False]}
    default_options = {"shared": True, "tls": True}
    package_type = "library"
    no_copy_source = False

    def export_sources(self):
        copy(self, "*", os.path.join(self.recipe_folder, "..", ".."), self.export_sources_folder,
             excludes=("target/*", "build/*", ".git/*"))

    def validate(self):
        if self.settings.os != "Linux" or self.settings.arch not in ("x86_64", "armv8"):
            raise ConanInvalidConfiguration("libdill runs on Linux on x86-64 and 64-bit ARM")

    def configure(self):
        self.settings.rm_safe("compiler.libcxx")
        self.settings.rm_safe("compiler.cppstd")

    def build(self):
        self.run(f"make TLS={int(bool(self.options.tls))}")

    def package(self):
        tls = int(bool(self.options.tls))
        self.run(f"make install CARGO=false LDCONFIG=true TLS={tls} PREFIX={self.package_folder}")
        unwanted = "libdill.a" if self.options.shared else "libdill.so*"
        self.run(f"rm -f {self.package_folder}/lib/{unwanted}")

    def package_info(self):
        self.cpp_info.libs = ["dill"]
        self.cpp_info.system_libs = ["rt", "pthread", "dl"]
        self.cpp_info.set_property("cmake_file_name", "libdill")
        self.cpp_info.set_property("cmake_target_name", "libdill::dill")
        self.cpp_info.set_property("pkg_config_name", "libdill")
        if not self.options.tls:
            self.cpp_info.defines = ["DILL_DISABLE_TLS"]
