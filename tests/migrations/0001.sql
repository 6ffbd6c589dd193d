BEGIN TRANSACTION;
CREATE TABLE hpo_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT hpo_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "hpo_alembic_version" VALUES('0001');
CREATE TABLE hpo_environment (
	id INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	json TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_hpo_environment_sha256 UNIQUE (sha256)
);
INSERT INTO "hpo_environment" VALUES(1,'39bee6188c0cad8a3ed9029d8cd47eb04945c57db0b68bae82c4fa88e3de7ab9','{"torch": "2.6"}');
CREATE TABLE hpo_epoch_metric (
	run_id INTEGER NOT NULL, 
	metric_id INTEGER NOT NULL, 
	split VARCHAR(32) NOT NULL, 
	epoch INTEGER NOT NULL, 
	value DOUBLE, 
	seconds DOUBLE, 
	CONSTRAINT pk_hpo_epoch_metric PRIMARY KEY (run_id, metric_id, split, epoch), 
	CONSTRAINT fk_hpo_epoch_metric_run FOREIGN KEY(run_id) REFERENCES hpo_trial_run (run_id) ON DELETE CASCADE, 
	CONSTRAINT fk_hpo_epoch_metric_metric FOREIGN KEY(metric_id) REFERENCES hpo_metric (id)
)
 WITHOUT ROWID

;
INSERT INTO "hpo_epoch_metric" VALUES(1,1,'valid',1,0.25,1.0);
INSERT INTO "hpo_epoch_metric" VALUES(1,1,'valid',2,0.25,1.0);
INSERT INTO "hpo_epoch_metric" VALUES(1,2,'test',2,0.75,NULL);
INSERT INTO "hpo_epoch_metric" VALUES(1,2,'train',1,0.5,1.0);
INSERT INTO "hpo_epoch_metric" VALUES(1,2,'train',2,0.5,1.0);
INSERT INTO "hpo_epoch_metric" VALUES(1,2,'valid',1,0.5,1.0);
INSERT INTO "hpo_epoch_metric" VALUES(1,2,'valid',2,0.5,1.0);
CREATE TABLE hpo_metric (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	unit VARCHAR(64), 
	direction VARCHAR(16), 
	PRIMARY KEY (id), 
	CONSTRAINT uq_hpo_metric_name UNIQUE (name)
);
INSERT INTO "hpo_metric" VALUES(1,'accuracy',NULL,NULL);
INSERT INTO "hpo_metric" VALUES(2,'loss',NULL,NULL);
CREATE TABLE hpo_plugin (
	id INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	version INTEGER NOT NULL, 
	distribution VARCHAR(255) NOT NULL, 
	distribution_version VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64), 
	PRIMARY KEY (id), 
	CONSTRAINT uq_hpo_plugin_all UNIQUE (kind, name, version, distribution, distribution_version, sha256)
);
INSERT INTO "hpo_plugin" VALUES(1,'optimizer','acme.sgd',1,'automl-opt-acme','1.2','b87dfed1176b1126fc540ff500782256fe38b30f5fa9e50dc7e6f0324fe0bb45');
INSERT INTO "hpo_plugin" VALUES(2,'regularizer','acme.clip',1,'automl-opt-acme','1.2','b87dfed1176b1126fc540ff500782256fe38b30f5fa9e50dc7e6f0324fe0bb45');
CREATE TABLE hpo_run_plugin (
	run_id INTEGER NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	plugin_id INTEGER NOT NULL, 
	params_json TEXT NOT NULL, 
	CONSTRAINT pk_hpo_run_plugin PRIMARY KEY (run_id, role, position), 
	CONSTRAINT fk_hpo_run_plugin_run FOREIGN KEY(run_id) REFERENCES hpo_trial_run (run_id) ON DELETE CASCADE, 
	CONSTRAINT fk_hpo_run_plugin_plugin FOREIGN KEY(plugin_id) REFERENCES hpo_plugin (id)
);
INSERT INTO "hpo_run_plugin" VALUES(1,'optimizer',0,1,'{"lr": 0.1}');
INSERT INTO "hpo_run_plugin" VALUES(1,'regularizer',0,2,'{"at": 1.0}');
INSERT INTO "hpo_run_plugin" VALUES(1,'regularizer',1,2,'{"at": 2.0}');
CREATE TABLE hpo_study (
	study_id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	arm VARCHAR(255) NOT NULL, 
	spec_json TEXT NOT NULL, 
	space_json TEXT NOT NULL, 
	space_hash VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (study_id), 
	CONSTRAINT uq_hpo_study_name_arm UNIQUE (name, arm)
);
INSERT INTO "hpo_study" VALUES(1,'digits','sgd','{}','[]','0','2026-11-21 16:16:29.376195');
CREATE TABLE hpo_trial_run (
	run_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	study_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	reason TEXT, 
	seed TEXT NOT NULL, 
	recipe_json TEXT NOT NULL, 
	value DOUBLE, 
	epochs INTEGER NOT NULL, 
	from_epoch INTEGER NOT NULL, 
	worker VARCHAR(255) NOT NULL, 
	device VARCHAR(255) NOT NULL, 
	lease_until DATETIME, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	checkpoint_uri TEXT, 
	env_id INTEGER NOT NULL, 
	CONSTRAINT uq_hpo_trial_run_trial_attempt UNIQUE (trial_id, attempt), 
	CONSTRAINT fk_hpo_trial_run_study FOREIGN KEY(study_id) REFERENCES hpo_study (study_id) ON DELETE CASCADE, 
	CONSTRAINT fk_hpo_trial_run_environment FOREIGN KEY(env_id) REFERENCES hpo_environment (id)
);
INSERT INTO "hpo_trial_run" VALUES(1,1,100,0,1,'complete',NULL,'{"split": 430190648, "initialisation": 1567542455, "order": 697284570, "noise": 2375566148}','{"accumulate":1,"batch_size":32,"initializer":{"id":"acme.default","params":{},"version":1},"model":{},"optimizer":{"id":"acme.sgd","params":{"lr":0.30000000000000004},"version":1},"regularizers":[],"scheduler":{"id":"acme.constant","params":{},"version":1}}',0.5,2,0,'here:1','cpu',NULL,'2026-11-21 16:16:29.377113','2026-11-21 16:16:29.382256',NULL,1);
CREATE INDEX ix_hpo_trial_run_state_lease ON hpo_trial_run (state, lease_until);
CREATE INDEX ix_hpo_trial_run_study ON hpo_trial_run (study_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('hpo_trial_run',1);
COMMIT;
