// Package jobs runs long work somewhere in the cluster, so that it survives the node that runs it: with progress, pause,
// resume and cancel from any node.
//
// # Model
//
// A [Job] is a record in one register of the root group ([Group]): kind, arguments, state, owner, progress, checkpoint. A
// majority of the register's voters decides every change of it. What a job does is a [Kind], which nodes register.
//
//	pending ──claim──► running ──► done | failed
//	   ▲ │                │ │ ▲
//	   │ └─pause─┐  pause─┘ │ └─resume─ pausing
//	   │         ▼          │              │
//	   └─resume─ paused ◄───┼──────────────┘
//	                        └─cancel─► cancelling ──► cancelled
//
// # Who runs a job
//
// A job is claimed when it is pending, or when its owner is gone: not a member, not reachable in the view of the one who
// claims, or started anew. Among the members that are up, reachable and know the kind, the highest hash of job, epoch and
// node claims it (rendezvous), so that not all try at once; views may differ, and then the register lets one win. A process
// that owns a job without running it, because it learned too late that its claim was made, claims it again. A node runs at
// most [Config.MaxRunning] jobs; others wait for it.
//
// Every claim raises the job's Epoch. A run whose epoch is no longer the job's can write nothing: its next report gives
// [ErrLost], its context ends. One that is cut off from the voters for [IsolatedIntervals] is told so, too. Between the
// cut and that moment two runs of one job may be at work, of different epochs: what a job changes elsewhere must be
// repeatable, or carry [Run.Epoch] as a fencing token.
//
// # What a run does
//
// [Kind.Run] begins at [Run.Checkpoint] and calls [Run.Report] as often as it likes: a node writes the reports of all its
// runs together, at most once per [Config.Interval]; what came after the last write is lost with the node. Its context
// ends, with [ErrPaused], [ErrCancelled] or [ErrLost] as the cause, when it has to stop; Report gives the same error. It
// then returns soon, with that error. nil means done, another error failed. A panic fails the job and leaves the process
// alive.
//
// # What a node knows
//
// As in internal/access: [Service.List], [Service.Get] and [Service.Watch] answer from the newest table the node has heard
// of (fabric.Followed), which is one round of gossip behind as a rule. A node sees its own requests at once.
//
// # Life
//
// [Open], then [Service.Register] for each kind. [Service.Close] stops the runs, waits for them, gives their jobs back for
// others to claim, and comes before the fabric's Close. A node that is killed gives nothing back: others claim its jobs when
// they find it unreachable.
//
// # Concurrency
//
// All methods are safe from any goroutine. One goroutine per service claims and writes; each run has one of its own. Slices
// in a Job are shared and not to be changed.
//
// # Limits
//
//	MaxLive 64           jobs that are not finished: ErrFull
//	MaxFinished 32       those remembered after their end, the latest
//	MaxKinds 64          per node; MaxKindBytes 64
//	MaxArguments 1 KiB   MaxCheckpoint 1 KiB: larger things belong to files or tables that these name
//	MaxUnit 32 B         MaxNote 256 B, MaxError 512 B: cut off
//
// Together they stay below the largest value of a register.
package jobs
