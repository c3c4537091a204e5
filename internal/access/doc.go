// Package access is the one source of users and roles: who may log in, and what they may do. Redis ACL and CQL roles are
// views of it.
//
// # Model
//
// A [User] has passwords, roles, and per structure a rule text that this package carries without reading it (an ACL line
// of Redis, for example). A [Role] has grants: a permission on the resources that a pattern names. Everything else is
// denied, and there are no negative grants: [Access.Deny] takes away what [Access.Allow] gave.
//
//	| in a grant      | matches                                                           |
//	|-----------------|-------------------------------------------------------------------|
//	| permission read | read                                                              |
//	| permission *    | every permission                                                  |
//	| pattern a/b     | the resource a/b                                                  |
//	| pattern a/*     | every resource that begins with a/; * stands at the end and alone |
//
// All of it is one register of the root group ([Group]), which a majority of its voters decides: no two nodes change it
// against each other. Its value is a version byte and fields of internal/wire (encode.go).
//
// # What a node knows
//
// Every node holds the newest content it has heard of (fabric.Followed) and answers [Access.Can] from it: one atomic load,
// no network. A change is known to the node that made it when the call returns, and to the others after one round of
// gossip as a rule, after [RefreshInterval] and one read at the latest while the voters answer. A node that is cut off
// from them goes on with what it knows, and can change nothing. Before the first content nobody is known, and all is denied.
//
// # Passwords
//
// A password is kept as Argon2id (RFC 9106) with the user's salt: 19 MiB, 2 passes, 1 lane. One computation answers for
// all passwords of a user, and one is made for unknown and disabled users too, so that time does not tell them apart. At
// most [MaxHashing] computations run at once and [MaxWaiting] callers wait; the next one gets [ErrBusy]. Passwords are
// in no error, no log and no register.
//
// # Life
//
// [Open] begins to follow the register; [Access.Close] ends that, before the fabric is closed.
//
// # Concurrency
//
// All methods are safe from any goroutine. What [Access.Users] and [Access.Roles] give is shared and not to be changed.
//
// # Limits
//
//	MaxUsers 1,024, MaxRoles 256, MaxBytes 256 KiB    in the cluster; whichever is reached first: ErrFull
//	MaxName 64 B                                      users, roles, structures
//	MaxPasswords 8, MaxUserRoles 32, MaxRules 8       per user; MaxRule 4 KiB
//	MaxGrants 128                                     per role; MaxPermission 64 B, MaxPattern 256 B
//	MaxPassword 512 B
package access
