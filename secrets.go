package egal

import (
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
		switch err := s.certificates.Reload(); {
		case err == nil:
			logger.Info("certificates read again", "event", "certificates_reloaded", "expires", s.certificates.Expires())
			said = ""
		case err.Error() != said: // the files are looked at again, and the certificates stay as they were
			said = err.Error()
			logger.Error("the certificates could not be read again", "event", "certificates_not_reloaded", "error", err)
		}
	}
}
