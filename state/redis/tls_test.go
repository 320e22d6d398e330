package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// certify writes a certificate authority, and a certificate of it for 127.0.0.1 with
// its key, into a folder.
func certify(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	issue := func(name string, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (string, string, *ecdsa.PrivateKey) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by = own
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, dir, name+".crt", "CERTIFICATE", der), write(t, dir, name+".key", "PRIVATE KEY", secret), own
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	ca, _, signer := issue("ca", authority, authority, nil)
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, key, _ = issue("server", server, authority, signer)
	return ca, cert, key
}

func write(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTLS(t *testing.T) {
	ca, cert, key := certify(t, t.TempDir())
	server := serve(t, func(n *node) []string {
		return []string{"--bind", "127.0.0.1", "--port", "0", "--tls-port", strconv.Itoa(n.port), "--save", "",
			"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no"}
	})
	good := "rediss://" + server.addr() + "/0?ca=" + url.QueryEscape(ca)
	together(t, on(good))
	for name, bad := range map[string]struct{ url, says string }{
		"an unknown authority": {"rediss://" + server.addr(), "certificate"},
		"another host":         {strings.Replace(good, "127.0.0.1", "localhost", 1), "certificate"},
		"without TLS":          {"redis://" + server.addr(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := connect(t, bad.url, Options{})
			if got := s.Admit(t.Context(), state.Admission{Chain: "c"}); got.Closed {
				t.Errorf("%+v", got)
			}
			await(t, "it is away", func() bool { return !s.Health().Up })
			if h := s.Health(); !strings.Contains(h.Error, bad.says) {
				t.Errorf("%+v", h)
			}
		})
	}
}
