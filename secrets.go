package egal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/egalcluster/egal/fabric/transport"
)

// certificatesLookedAt is how often the files of certificates are looked at for a change.
const certificatesLookedAt = 10 * time.Second

// secrets are what nodes prove to each other that they belong together by; nil parts are not used.
type secrets struct {
	keys         *transport.Keyring
	certificates *transport.Certificates
}

func loadSecrets(cfg Config) (s secrets, err error) {
	if cfg.ClusterKeyFile != "" {
		if s.keys, err = transport.LoadKeyring(cfg.ClusterKeyFile, cfg.Logger); err != nil {
			return s, err
		}
	}
	if cfg.Certificates != (transport.CertificateFiles{}) {
		s.certificates, err = transport.LoadCertificates(cfg.Certificates, cfg.Logger)
	}
	return s, err
}

// watch follows the files of the certificates until ended is closed.
func (s secrets) watch(ended <-chan struct{}, logger *slog.Logger) {
	ticker := time.NewTicker(certificatesLookedAt)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		if !s.certificates.Changed() {
			continue
		}
		switch err := s.reloadCertificates(logger); {
		case err == nil:
			said = ""
		case err.Error() != said: // the files are looked at again, and the certificates stay as they were
			said = err.Error()
			logger.Error("the certificates could not be read again", "event", "certificates_not_reloaded", "error", err)
		}
	}
}

func (s secrets) reloadCertificates(logger *slog.Logger) error {
	if s.certificates == nil {
		return nil
	}
	err := s.certificates.Reload()
	if err == nil {
		logger.Info("certificates read again", "event", "certificates_reloaded", "expires", s.certificates.Expires())
	}
	return err
}

func (s secrets) reloadKeys(logger *slog.Logger) error {
	if s.keys == nil {
		return nil
	}
	err := s.keys.Reload()
	if err == nil {
		use := inUse(s.keys.Keys())
		logger.Info("cluster key read again", "event", "cluster_key_reloaded", "key", use.ID, "key_hash", use.Hash)
	}
	return err
}

func inUse(keys []transport.KeyInfo) transport.KeyInfo {
	for _, key := range keys {
		if key.InUse {
			return key
		}
	}
	return transport.KeyInfo{}
}

// ReloadSecrets reads the files of the cluster key and of the certificates again, at once. What cannot be read stays as it
// was, and the error says why.
func (n *Node) ReloadSecrets() error {
	err := errors.Join(n.secrets.reloadKeys(n.config.Logger), n.secrets.reloadCertificates(n.config.Logger))
	if err != nil {
		return fmt.Errorf("egal: reload: %w", err)
	}
	return nil
}
