// A Vault server with its transit engine and nothing else, for the tests of the transit key service: HashiCorp's own
// core, storage, HTTP interface and transit engine, started by a few lines instead of the command line, which would
// bring in every cloud's SDK. It unseals itself and writes its root token, which no server that matters may do.
//
//	vault-transit FOLDER ADDRESS   FOLDER holds ca.pem, cert.pem and key.pem; storage and root-token appear there
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("usage: vault-transit FOLDER ADDRESS"))
	}
	// The test holds our standard input: when it ends, however it ends, so do we.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fail(serve(os.Args[1], os.Args[2]))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(folder, address string) error {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	storage, err := file.NewFileBackend(map[string]string{"path": filepath.Join(folder, "storage")}, logger)
	if err != nil {
		return err
	}
	listener := &configutil.Listener{Type: "tcp", Address: address}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:        storage,
		LogicalBackends: map[string]logical.Factory{"transit": transit.Factory},
		BuiltinRegistry: nothing{},
		DisableMlock:    true,
		Logger:          logger,
		RawConfig: &server.Config{SharedConfig: &configutil.SharedConfig{
			Listeners: []*configutil.Listener{listener}, DisableMlock: true,
		}},
	})
	if err != nil {
		return err
	}
	if err := open(core, folder); err != nil {
		return err
	}
	config, err := mutualTLS(folder)
	if err != nil {
		return err
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: listener})
	fmt.Println("listening on", socket.Addr())
	return http.Serve(tls.NewListener(socket, config), handler)
}

// open initializes the storage at the first start, and unseals it at each.
func open(core *vault.Core, folder string) error {
	kept := filepath.Join(folder, "unseal.json")
	var share []byte
	if text, err := os.ReadFile(kept); err == nil {
		if err := json.Unmarshal(text, &share); err != nil {
			return err
		}
	} else {
		one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1, StoredShares: 1}
		made, err := core.Initialize(context.Background(), &vault.InitParams{BarrierConfig: one, RecoveryConfig: one})
		if err != nil {
			return err
		}
		share = made.SecretShares[0]
		text, err := json.Marshal(share)
		if err != nil {
			return err
		}
		if err := os.WriteFile(kept, text, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "root-token"), []byte(made.RootToken), 0o600); err != nil {
			return err
		}
	}
	_, err := core.Unseal(share)
	return err
}

func mutualTLS(folder string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    pool,
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}, nil
}

// nothing is a registry without a plugin.
type nothing struct{}

func (nothing) Contains(string, consts.PluginType) bool { return false }

func (nothing) Get(string, consts.PluginType) (func() (interface{}, error), bool) { return nil, false }

func (nothing) Keys(consts.PluginType) []string { return nil }

func (nothing) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Unknown, false
}

func (nothing) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
