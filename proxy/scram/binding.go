package scram

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
)

// Binding is what binds an exchange to a TLS connection: the hash of the server's certificate (tls-server-end-point, RFC 5929,
// section 4.1), made with the hash that its signature has, or SHA-256 in place of MD5 and SHA-1. nil for certificates where
// that is not defined, Ed25519's for one: then there is no binding.
func Binding(server *x509.Certificate) []byte {
	switch server.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		sum := sha256.Sum256(server.Raw)
		return sum[:]
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		sum := sha512.Sum384(server.Raw)
		return sum[:]
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		sum := sha512.Sum512(server.Raw)
		return sum[:]
	default:
		return nil
	}
}
