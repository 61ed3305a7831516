#!/bin/sh
# Makes the files beside it anew, with OpenSSL 3: test/certs/plain-pem.test.ts reads them. Nothing else uses their keys.
set -e
here=$(cd "$(dirname "$0")" && pwd)
cd "$(mktemp -d)"
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj "/CN=Fixture CA" -days 36500 -out ca.pem 2>/dev/null
for kind in ec rsa; do
  if [ $kind = ec ]; then openssl ecparam -name prime256v1 -genkey -noout -out $kind.key; else openssl genrsa -out $kind.key 2048 2>/dev/null; fi
  openssl req -new -key $kind.key -subj "/CN=$kind.example" -out $kind.csr
  printf "subjectAltName=DNS:$kind.example,DNS:*.$kind.example\n" > ext
  openssl x509 -req -in $kind.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 -extfile ext -out $kind.pem 2>/dev/null
done
openssl pkcs12 -export -inkey ec.key -in ec.pem -certfile ca.pem -passout pass:correct -out modern-ec.p12
openssl pkcs12 -export -inkey rsa.key -in rsa.pem -certfile ca.pem -passout pass:correct -out modern-rsa.p12
openssl pkcs12 -export -legacy -inkey rsa.key -in rsa.pem -certfile ca.pem -passout pass:correct -out legacy-rsa.p12
openssl pkcs12 -export -inkey ec.key -in ec.pem -passout pass: -out empty-password.p12
openssl pkcs12 -export -inkey ec.key -in ec.pem -passout pass:schlüssel -out umlaut.p12
openssl pkcs12 -export -nomac -inkey ec.key -in ec.pem -passout pass:correct -out unchecked.p12
cp ./*.p12 "$here"
