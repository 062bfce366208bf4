"""The reconcile loop: one controller, a reconciler for live resources and a finalizer for deleted ones."""
