#!/bin/sh
# Builds the package in ./hello. What a job leaves in its folder are its artifacts; what begins with a dot is not.
set -eu
mv hello .source
cd .source
./configure
make
make check
make package
mv hello-1.0.tar.gz ..
cd ..
mkdir bin
cp .source/hello bin/
