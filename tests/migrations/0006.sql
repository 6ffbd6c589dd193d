BEGIN TRANSACTION;
CREATE TABLE hpo_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT hpo_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "hpo_alembic_version" VALUES('0006');
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
CREATE TABLE hpo_finding (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	arm VARCHAR(255), 
	evidence TEXT NOT NULL, 
	advice TEXT NOT NULL, 
	found_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "hpo_finding" VALUES(1,'digits','budget',NULL,'too few trials','raise [search] trials','2026-11-21 19:14:45.496308');
CREATE TABLE hpo_look (
	verdict_id INTEGER NOT NULL, 
	seeds INTEGER NOT NULL, 
	other VARCHAR(255) NOT NULL, 
	leader VARCHAR(255) NOT NULL, 
	alpha DOUBLE NOT NULL, 
	wins INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	ties INTEGER NOT NULL, 
	mean DOUBLE, 
	low DOUBLE, 
	high DOUBLE, 
	p DOUBLE, 
	outcome VARCHAR(16) NOT NULL, 
	CONSTRAINT pk_hpo_look PRIMARY KEY (verdict_id, seeds, other), 
	CONSTRAINT fk_hpo_look_verdict FOREIGN KEY(verdict_id) REFERENCES hpo_verdict (id) ON DELETE CASCADE
);
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
INSERT INTO "hpo_study" VALUES(1,'digits','sgd','{}','[]','0','2026-11-21 19:14:45.478970');
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
	env_id INTEGER NOT NULL, seconds DOUBLE DEFAULT 0 NOT NULL, parts TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT uq_hpo_trial_run_trial_attempt UNIQUE (trial_id, attempt), 
	CONSTRAINT fk_hpo_trial_run_study FOREIGN KEY(study_id) REFERENCES hpo_study (study_id) ON DELETE CASCADE, 
	CONSTRAINT fk_hpo_trial_run_environment FOREIGN KEY(env_id) REFERENCES hpo_environment (id)
);
INSERT INTO "hpo_trial_run" VALUES(1,1,100,0,1,'complete',NULL,'{"split": 430190648, "initialisation": 1567542455, "order": 697284570, "noise": 2375566148}','{"accumulate":1,"batch_size":32,"initializer":{"id":"acme.default","params":{},"version":1},"model":{},"optimizer":{"id":"acme.sgd","params":{"lr":0.30000000000000004},"version":1},"regularizers":[],"scheduler":{"id":"acme.constant","params":{},"version":1}}',0.5,2,0,'here:1','cpu',NULL,'2026-11-21 19:14:45.479688','2026-11-21 19:14:45.490054',NULL,1,2.0,'1,2,2');
CREATE TABLE hpo_verdict (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	number INTEGER NOT NULL, 
	plan_json TEXT NOT NULL, 
	outcome VARCHAR(16), 
	leader VARCHAR(255), 
	seeds INTEGER, 
	said TEXT, 
	verdict_json TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_hpo_verdict_name_kind_number UNIQUE (name, kind, number)
);
INSERT INTO "hpo_verdict" VALUES(1,'digits','arm',0,'{"arms": ["sgd"]}',NULL,NULL,NULL,NULL,NULL,'2026-11-21 19:14:45.492695','2026-11-21 19:14:45.492695');
CREATE TABLE hpo_verdict_epoch (
	verdict_id INTEGER NOT NULL, 
	stage VARCHAR(16) NOT NULL, 
	recipe VARCHAR(255) NOT NULL, 
	seed INTEGER NOT NULL, 
	metric_id INTEGER NOT NULL, 
	split VARCHAR(32) NOT NULL, 
	epoch INTEGER NOT NULL, 
	value DOUBLE, 
	seconds DOUBLE, 
	CONSTRAINT pk_hpo_verdict_epoch PRIMARY KEY (verdict_id, stage, recipe, seed, metric_id, split, epoch), 
	CONSTRAINT fk_hpo_verdict_epoch_run FOREIGN KEY(verdict_id, stage, recipe, seed) REFERENCES hpo_verdict_run (verdict_id, stage, recipe, seed) ON DELETE CASCADE, 
	CONSTRAINT fk_hpo_verdict_epoch_metric FOREIGN KEY(metric_id) REFERENCES hpo_metric (id)
)
 WITHOUT ROWID

;
CREATE TABLE hpo_verdict_run (
	verdict_id INTEGER NOT NULL, 
	stage VARCHAR(16) NOT NULL, 
	recipe VARCHAR(255) NOT NULL, 
	seed INTEGER NOT NULL, 
	seeds_json TEXT NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	reason TEXT, 
	value DOUBLE, 
	metrics_json TEXT NOT NULL, 
	epochs INTEGER NOT NULL, 
	seconds DOUBLE NOT NULL, 
	worker VARCHAR(255) NOT NULL, 
	device VARCHAR(255) NOT NULL, 
	ended_at DATETIME NOT NULL, 
	env_id INTEGER NOT NULL, 
	CONSTRAINT pk_hpo_verdict_run PRIMARY KEY (verdict_id, stage, recipe, seed), 
	CONSTRAINT fk_hpo_verdict_run_verdict FOREIGN KEY(verdict_id) REFERENCES hpo_verdict (id) ON DELETE CASCADE, 
	CONSTRAINT fk_hpo_verdict_run_environment FOREIGN KEY(env_id) REFERENCES hpo_environment (id)
);
INSERT INTO "hpo_verdict_run" VALUES(1,'confirm','sgd',0,'{"split": 430190648, "initialisation": 1567542455, "order": 697284570, "noise": 2375566148}','complete',NULL,0.25,'{"loss": 0.25}',2,1.5,'here:1','cpu','2026-11-21 19:14:45.494814',1);
INSERT INTO "hpo_verdict_run" VALUES(1,'confirm','sgd',1,'{"split": 430190648, "initialisation": 1567542455, "order": 697284570, "noise": 2375566148}','complete',NULL,0.75,'{"loss": 0.75}',2,1.5,'here:1','cpu','2026-11-21 19:14:45.495932',1);
CREATE INDEX ix_hpo_trial_run_state_lease ON hpo_trial_run (state, lease_until);
CREATE INDEX ix_hpo_finding_name ON hpo_finding (name);
CREATE INDEX ix_hpo_trial_run_study ON hpo_trial_run (study_id, parts);
CREATE VIEW hpo_v_study AS SELECT s.study_id, s.name AS study, s.arm, json_extract(s.spec_json, '$.question') AS question, json_extract(s.spec_json, '$."[objective] metric"') AS metric,
    json_extract(s.spec_json, '$."[objective] direction"') AS direction, json_extract(s.spec_json, '$."[search] trials"') AS budget, json_extract(s.spec_json, '$."[search] strategy".name') AS strategy, json_extract(s.spec_json, '$."[search] pruner".name') AS pruner,
    s.space_hash, s.created_at
FROM hpo_study s;
CREATE VIEW hpo_v_trial AS SELECT s.name AS study, s.arm, r.number AS trial, r.trial_id, r.attempt, r.state, r.reason,
    r.value, r.epochs, r.seconds, r.worker, r.device, r.started_at, r.ended_at, r.lease_until
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
WHERE NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    );
CREATE VIEW hpo_v_param AS SELECT s.name AS study, s.arm, r.number AS trial, p.role, p.position, c.name AS component,
    e.key AS param, CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e.value AS TEXT) END AS value, CASE WHEN e.type IN ('integer', 'real') THEN CAST(e.value AS REAL) END AS number
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
JOIN hpo_run_plugin p ON p.run_id = r.run_id
JOIN hpo_plugin c ON c.id = p.plugin_id
CROSS JOIN json_each(p.params_json) e
WHERE NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
UNION ALL
SELECT s.name, s.arm, r.number, 'model', 0, NULL, e.key, CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e.value AS TEXT) END, CASE WHEN e.type IN ('integer', 'real') THEN CAST(e.value AS REAL) END
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
CROSS JOIN json_each(r.recipe_json, '$.model') e
WHERE NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
UNION ALL
SELECT s.name, s.arm, r.number, 'recipe', 0, NULL, e.key, CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e.value AS TEXT) END, CASE WHEN e.type IN ('integer', 'real') THEN CAST(e.value AS REAL) END
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
CROSS JOIN json_each(r.recipe_json) e
WHERE e.key IN ('batch_size', 'accumulate', 'lr_scaling') AND NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    );
CREATE VIEW hpo_v_curve AS SELECT s.name AS study, s.arm, r.number AS trial, m.name AS metric, e.split, e.epoch, e.value,
    e.seconds
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
JOIN hpo_epoch_metric e ON e.run_id = r.run_id
JOIN hpo_metric m ON m.id = e.metric_id;
CREATE VIEW hpo_v_leaderboard AS SELECT t.study, t.arm, t.metric, t.direction, t.trials,
    t.trials - t.complete - t.pruned - t.failed AS running, t.complete, t.pruned, t.failed,
    CASE t.direction WHEN 'maximize' THEN t.highest ELSE t.lowest END AS best,
    (
        SELECT min(r.number) FROM hpo_trial_run r
        WHERE r.study_id = t.study_id AND r.state = 'complete'
            AND r.value = CASE t.direction WHEN 'maximize' THEN t.highest ELSE t.lowest END
            AND NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
    ) AS best_trial,
    t.mean,
    CASE WHEN t.complete > 1 THEN (
        SELECT sqrt(sum((r.value - t.mean) * (r.value - t.mean)) / (count(r.value) - 1.0)
            / count(r.value))
        FROM hpo_trial_run r
        WHERE r.study_id = t.study_id AND r.state = 'complete' AND NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
    ) END AS standard_error,
    t.seconds
FROM (
    SELECT s.study_id, s.name AS study, s.arm, json_extract(s.spec_json, '$."[objective] metric"') AS metric, json_extract(s.spec_json, '$."[objective] direction"') AS direction,
        count(r.run_id) AS trials,
        count(CASE r.state WHEN 'complete' THEN 1 END) AS complete,
        count(CASE r.state WHEN 'pruned' THEN 1 END) AS pruned,
        count(CASE WHEN r.state IN ('diverged', 'out_of_memory', 'failed') THEN 1 END) AS failed,
        min(CASE r.state WHEN 'complete' THEN r.value END) AS lowest,
        max(CASE r.state WHEN 'complete' THEN r.value END) AS highest,
        avg(CASE r.state WHEN 'complete' THEN r.value END) AS mean,
        coalesce(sum(r.seconds), 0.0) AS seconds
    FROM hpo_study s
    LEFT JOIN hpo_trial_run r ON r.study_id = s.study_id AND NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
    GROUP BY s.name, s.arm, s.study_id, s.spec_json
) t;
CREATE VIEW hpo_v_budget AS SELECT a.study, a.arm, a.trial, a.state, a.ended_at, a.value, a.trials, a.seconds,
    a.sign * a.least AS best,
    count(*) OVER of_study AS study_trials,
    sum(a.own_seconds) OVER of_study AS study_seconds,
    a.sign * min(a.sign * a.value) OVER of_study AS study_best
FROM (
    SELECT t.study, t.arm, t.trial, t.trial_id, t.state, t.ended_at, t.value, t.own_seconds, t.sign,
        count(*) OVER of_arm AS trials,
        sum(t.own_seconds) OVER of_arm AS seconds,
        min(t.sign * t.value) OVER of_arm AS least
    FROM (
        SELECT s.name AS study, s.arm, r.number AS trial, r.trial_id, r.state, r.ended_at,
            r.seconds AS own_seconds,
            CASE json_extract(s.spec_json, '$."[objective] direction"') WHEN 'maximize' THEN -1 ELSE 1 END AS sign,
            CASE r.state WHEN 'complete' THEN r.value END AS value
        FROM hpo_study s
        JOIN hpo_trial_run r ON r.study_id = s.study_id
        WHERE r.state NOT IN ('running', 'stopped', 'preempted') AND NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
    ) t
    WINDOW of_arm AS (
        PARTITION BY t.study, t.arm ORDER BY t.ended_at, t.trial_id ROWS UNBOUNDED PRECEDING
    )
) a
WINDOW of_study AS (PARTITION BY a.study ORDER BY a.ended_at, a.trial_id ROWS UNBOUNDED PRECEDING);
CREATE VIEW hpo_v_resource AS SELECT t.study, t.arm, t.device, e.sha256 AS environment, json_extract(e.json, '$."automl-opt"') AS automl_opt,
    json_extract(e.json, '$.torch') AS torch, json_extract(e.json, '$.optuna') AS optuna, json_extract(e.json, '$.python') AS python, json_extract(e.json, '$.platform') AS platform,
    t.trials, t.workers, t.epochs, t.seconds, t.first_at, t.last_at
FROM (
    SELECT s.name AS study, s.arm, r.device, r.env_id, count(*) AS trials,
        count(DISTINCT r.worker) AS workers, sum(r.epochs) AS epochs, sum(r.seconds) AS seconds,
        min(r.started_at) AS first_at, max(r.ended_at) AS last_at
    FROM hpo_study s
    JOIN hpo_trial_run r ON r.study_id = s.study_id
    WHERE NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
    GROUP BY s.name, s.arm, r.device, r.env_id
) t
JOIN hpo_environment e ON e.id = t.env_id;
CREATE VIEW hpo_v_failure AS SELECT s.name AS study, s.arm, r.state, r.reason, count(*) AS trials, sum(r.seconds) AS seconds,
    min(r.number) AS first_trial, max(r.ended_at) AS last_at
FROM hpo_study s
JOIN hpo_trial_run r ON r.study_id = s.study_id
WHERE r.state IN ('diverged', 'out_of_memory', 'failed') AND NOT EXISTS (
        SELECT 1 FROM hpo_trial_run l WHERE l.trial_id = r.trial_id AND l.attempt > r.attempt
    )
GROUP BY s.name, s.arm, r.state, r.reason;
CREATE VIEW hpo_v_plugin AS SELECT t.study, t.arm, p.role, c.name AS component, c.version, c.distribution,
    c.distribution_version, c.sha256, CAST(sum(t.trials) AS bigint) AS trials
FROM (
    SELECT s.name AS study, s.arm, min(r.run_id) AS run_id, count(*) AS trials
    FROM hpo_study s
    JOIN hpo_trial_run r ON r.study_id = s.study_id
    WHERE r.run_id NOT IN (
        SELECT e.run_id FROM hpo_trial_run l
        JOIN hpo_trial_run e ON e.trial_id = l.trial_id AND e.attempt < l.attempt
        WHERE l.attempt > 1
    )
    GROUP BY s.name, s.arm, r.parts
) t
JOIN hpo_run_plugin p ON p.run_id = t.run_id
JOIN hpo_plugin c ON c.id = p.plugin_id
WHERE NOT EXISTS (
    SELECT 1 FROM hpo_run_plugin b
    WHERE b.run_id = p.run_id AND b.role = p.role AND b.plugin_id = p.plugin_id
        AND b.position < p.position
)
GROUP BY t.study, t.arm, p.role, c.id, c.name, c.version, c.distribution, c.distribution_version,
    c.sha256;
CREATE VIEW hpo_v_verdict AS SELECT v.name AS study, v.kind, v.outcome, v.leader, v.seeds, v.said, v.updated_at
FROM hpo_verdict v
WHERE v.number = (
    SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
);
CREATE VIEW hpo_v_confirmed AS SELECT t.study, t.kind, t.recipe, t.seeds, t.seeds - t.complete AS failed, t.mean,
    CASE WHEN t.complete > 1 THEN (
        SELECT sqrt(sum((r.value - t.mean) * (r.value - t.mean)) / (t.complete - 1.0) / t.complete)
        FROM hpo_verdict_run r
        WHERE r.verdict_id = t.verdict_id AND r.stage = 'confirm' AND r.recipe = t.recipe
    ) END AS standard_error,
    t.lowest, t.highest, t.seconds
FROM (
    SELECT v.id AS verdict_id, v.name AS study, v.kind, r.recipe, count(*) AS seeds,
        count(r.value) AS complete, avg(r.value) AS mean, min(r.value) AS lowest,
        max(r.value) AS highest, sum(r.seconds) AS seconds
    FROM hpo_verdict v
    JOIN hpo_verdict_run r ON r.verdict_id = v.id
    WHERE r.stage = 'confirm' AND v.number = (
        SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
    )
    GROUP BY v.id, v.name, v.kind, r.recipe
) t;
CREATE VIEW hpo_v_confirmed_curve AS SELECT v.name AS study, e.recipe, e.seed, m.name AS metric, e.split, e.epoch, e.value
FROM hpo_verdict v
JOIN hpo_verdict_epoch e ON e.verdict_id = v.id
JOIN hpo_metric m ON m.id = e.metric_id
WHERE e.stage = 'confirm' AND v.number = (
    SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
);
CREATE VIEW hpo_v_look AS SELECT v.name AS study, v.kind, v.number, l.seeds, l.leader, l.other, l.alpha, l.mean,
    l.low, l.high, l.wins, l.losses, l.ties, l.p, l.outcome
FROM hpo_look l
JOIN hpo_verdict v ON v.id = l.verdict_id;
CREATE VIEW hpo_v_verdict_run AS SELECT v.name AS study, v.number, r.stage, r.recipe, r.seed, r.state, r.value, r.epochs,
    r.seconds, r.ended_at
FROM hpo_verdict_run r
JOIN hpo_verdict v ON v.id = r.verdict_id;
CREATE VIEW hpo_v_finding AS SELECT f.name AS study, f.kind, f.arm, f.evidence, f.advice, f.found_at
FROM hpo_finding f;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('hpo_trial_run',1);
COMMIT;
